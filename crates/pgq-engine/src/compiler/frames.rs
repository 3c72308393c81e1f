//! How the parts of a component go to the compiler's process, and their code comes back.

/// What goes through the pipes before each part.
pub(super) fn frame(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_le_bytes()
}

/// The parts that were sent one after the other. `None` if one is incomplete.
pub(super) fn framed(mut sent: Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !sent.is_empty() {
        let (length, rest) = sent.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= rest.len())?;
        let mut part = sent.split_off(8);
        sent = part.split_off(length);
        parts.push(part);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_as_they_were_sent_or_not_at_all() {
        let parts: [&[u8]; 3] = [b"one", b"", b"three"];
        let sent: Vec<u8> = parts.iter().flat_map(|part| [&frame(part), *part].concat()).collect();
        assert_eq!(framed(sent.clone()).expect("all of it"), parts);
        assert_eq!(framed(Vec::new()), Some(Vec::new()));
        for length in [1, 8, 10, sent.len() - 1] {
            assert_eq!(framed(sent[..length].to_vec()), None, "{length}");
        }
        assert_eq!(framed(u64::MAX.to_le_bytes().to_vec()), None);
    }
}
