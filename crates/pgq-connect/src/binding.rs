//! `tls-server-end-point`: the digest of the server's certificate to which a login is bound
//! (RFC 5929). Its hash is that of the certificate's signature.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;

/// `None`: the certificate is not read, or its signature has no hash of its own, as that of Ed25519.
pub(crate) fn of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match hash(certificate)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

fn hash(certificate: &[u8]) -> Option<Hash> {
    let (whole, _) = part(certificate, SEQUENCE)?;
    let (_, behind) = part(whole, SEQUENCE)?;
    let (algorithm, _) = part(behind, SEQUENCE)?;
    let (oid, parameters) = part(algorithm, OID)?;
    match oid {
        // With RSA: MD5 and SHA-1 count as SHA-256.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05 | 0x0b] => Some(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => Some(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => Some(Hash::Sha512),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => of_pss(parameters),
        // With ECDSA.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01 | 0x03, 0x02] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => {
            Some(Hash::Sha256)
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Some(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Some(Hash::Sha512),
        _ => None,
    }
}

/// RSASSA-PSS names its hash among its parameters; without one it is SHA-1.
fn of_pss(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = part(parameters, SEQUENCE)?;
    let Some((named, _)) = part(parameters, 0xa0) else { return Some(Hash::Sha256) };
    let (algorithm, _) = part(named, SEQUENCE)?;
    match part(algorithm, OID)?.0 {
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(Hash::Sha256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(Hash::Sha384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(Hash::Sha512),
        _ => None,
    }
}

/// The content of the first part of this DER, if it has this tag, and what is behind it.
fn part(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = der else { return None };
    if *found != tag {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let digits = usize::from(*length & 0x7f);
        if digits > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(digits)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_signatures() {
        for (algorithm, wanted) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(Hash::Sha256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(Hash::Sha384)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
            let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
            assert_eq!(hash(certificate.der()), wanted);
        }
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let der = certificate.der();
        // Whatever is cut off, nothing is read past the end.
        assert!((0..der.len()).all(|end| of_certificate(&der[..end]).is_none()));
        assert_eq!(of_certificate(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
