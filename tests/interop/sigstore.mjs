// Signs and verifies with the libraries of the sigstore project, offline and with a key:
//   node sigstore.mjs sign FOLDER KEY FILE              prints a bundle, as `cosign sign-blob --bundle` writes it
//   node sigstore.mjs verify FOLDER PUB FILE SIGNATURE  of a file with one base64 signature
// FOLDER has the packages @sigstore/bundle, @sigstore/sign and @sigstore/verify.
import { createPrivateKey, createPublicKey, createHash, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [verb, folder, keyFile, file, signatureFile] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { MessageSignatureBundleBuilder } = require("@sigstore/sign");
const { bundleToJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity } = require("@sigstore/verify");
const data = readFileSync(file);

async function bundle(publicKey, signed) {
	const der = publicKey.export({ type: "spki", format: "der" });
	const key = {
		$case: "publicKey",
		publicKey: publicKey.export({ type: "spki", format: "pem" }),
		hint: createHash("sha256").update(der).digest("base64"),
	};
	const signer = { sign: async (bytes) => ({ signature: signed(bytes), key }) };
	return new MessageSignatureBundleBuilder({ signer, witnesses: [] }).create({ data });
}

function verify(publicKey, bundle) {
	const trusted = {
		certificateAuthorities: [],
		timestampAuthorities: [],
		tlogs: [],
		ctlogs: [],
		publicKey: () => ({ publicKey, validFor: () => true }),
	};
	const verifier = new Verifier(trusted, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
	verifier.verify(toSignedEntity(bundle, data));
}

if (verb === "sign") {
	const privateKey = createPrivateKey(readFileSync(keyFile));
	const made = await bundle(createPublicKey(privateKey), (bytes) => sign("sha256", bytes, privateKey));
	verify(createPublicKey(privateKey), made);
	console.log(JSON.stringify(bundleToJSON(made)));
} else if (verb === "verify") {
	const publicKey = createPublicKey(readFileSync(keyFile));
	const signature = Buffer.from(readFileSync(signatureFile, "utf8").trim(), "base64");
	verify(publicKey, await bundle(publicKey, () => signature));
} else {
	throw new Error("sign or verify");
}
