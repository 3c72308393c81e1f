//! Numbers of the last hour as columns of blocks.

const EIGHTHS: [char; 9] =
    [' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];

/// So many lines, the highest first, in which the greatest value is a full column. A minute with
/// nothing has a dot. Each value takes so many columns.
pub(super) fn columns(values: &[i64], height: usize, wide: usize) -> Vec<String> {
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    let eighths = i64::try_from(height * 8).unwrap_or(8);
    let line = |row: usize| {
        let below = i64::try_from((height - 1 - row) * 8).unwrap_or_default();
        let block = |value: &i64| {
            // Whatever is more than nothing is to be seen.
            let full = if *value > 0 { (*value * eighths / most).max(1) } else { 0 };
            match usize::try_from(full - below).unwrap_or_default().min(8) {
                0 if *value == 0 && below == 0 => '.',
                eighth => EIGHTHS[eighth],
            }
        };
        values.iter().map(block).flat_map(|c| std::iter::repeat_n(c, wide)).collect()
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_value_is_full_and_the_smallest_is_seen() {
        assert_eq!(columns(&[0, 1, 400, 800], 1, 1), [".▁▄█"]);
        assert_eq!(columns(&[0, 1, 400, 800], 2, 1), ["   █", ".▁██"]);
        assert_eq!(columns(&[1, 2], 1, 2), ["▄▄██"]);
        assert_eq!(columns(&[], 1, 1), [""]);
        assert_eq!(columns(&[0], 1, 1), ["."]);
    }
}
