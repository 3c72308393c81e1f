//! PostgreSQL's numeric as decimal text, to the last digit.

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// From the binary form: how many groups of four digits, the weight of the first, the sign, how
/// many digits are behind the point, and the groups.
pub(super) fn text(raw: &[u8]) -> Option<String> {
    let (head, groups) = raw.split_at_checked(8)?;
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (count, weight, sign, scale) = (
        usize::from(word(head, 0)),
        i32::from(i16::from_be_bytes([head[2], head[3]])),
        word(head, 4),
        usize::from(word(head, 6)),
    );
    match sign {
        NAN => return Some("NaN".into()),
        INFINITY => return Some("Infinity".into()),
        MINUS_INFINITY => return Some("-Infinity".into()),
        0 | NEGATIVE => {}
        _ => return None,
    }
    if groups.len() != count * 2 {
        return None;
    }
    // Groups that are not there are zeros.
    let group = |index: i32| {
        usize::try_from(index).ok().filter(|index| *index < count).map_or(0, |index| word(groups, index * 2))
    };
    let mut text = String::new();
    if sign == NEGATIVE {
        text.push('-');
    }
    if weight < 0 {
        text.push('0');
    }
    for index in 0..=weight {
        let group = group(index);
        text += &if index == 0 { format!("{group}") } else { format!("{group:04}") };
    }
    if scale > 0 {
        text.push('.');
        let (end, mut index) = (text.len() + scale, weight + 1);
        while text.len() < end {
            text += &format!("{:04}", group(index));
            index += 1;
        }
        text.truncate(end);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let head = [groups.len() as u16, u16::from_be_bytes(weight.to_be_bytes()), sign, scale];
        head.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn every_digit_is_kept() {
        for (weight, sign, scale, groups, wanted) in [
            (0, 0, 0, &[][..], "0"),
            (-1, 0, 3, &[], "0.000"),
            (0, 0, 2, &[12, 3400], "12.34"),
            (1, NEGATIVE, 0, &[1], "-10000"),
            (1, 0, 4, &[12, 3456, 7000], "123456.7000"),
            (-2, 0, 8, &[42], "0.00000042"),
            (0, NAN, 0, &[], "NaN"),
            (0, MINUS_INFINITY, 0, &[], "-Infinity"),
        ] {
            assert_eq!(text(&raw(weight, sign, scale, groups)).as_deref(), Some(wanted));
        }
        assert_eq!(text(&[0; 7]), None);
        assert_eq!(text(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 1]), None, "groups are missing");
    }
}
