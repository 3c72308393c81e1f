//! What it takes to seal and to open, by the size of the content. Run by `make bench-micro`.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends, and says why")]

use divan::Bencher;
use divan::counter::BytesCount;
use pgq_sealing::{Keys, Purpose, new_key, with_key};

const SIZES: [usize; 4] = [100, 1 << 10, 64 << 10, 1 << 20];

fn main() {
    divan::main();
}

fn keys() -> Keys {
    let set = with_key(None, &new_key("2026-11").expect("made")).expect("a set");
    Keys::read(set.as_bytes()).expect("keys")
}

#[divan::bench(args = SIZES)]
fn seal(bencher: Bencher, bytes: usize) {
    let (keys, content) = (keys(), vec![b'x'; bytes]);
    let key = keys.seals(None).expect("a key");
    bencher.counter(BytesCount::new(bytes)).bench(|| key.seal(&content, Purpose::Payload, "charge").expect("sealed"));
}

#[divan::bench(args = SIZES)]
fn open(bencher: Bencher, bytes: usize) {
    let keys = keys();
    let key = keys.seals(None).expect("a key");
    let sealed = key.seal(&vec![b'x'; bytes], Purpose::Payload, "charge").expect("sealed");
    bencher.counter(BytesCount::new(bytes)).bench(|| key.open(&sealed, Purpose::Payload, "charge").expect("opened"));
}
