//! Command lines and flags as people write them.

use casebook_formats::tables::FlagTable;

/// Most words of a command line.
const MAX_WORDS: usize = 4096;

/// Splits a command line as a shell does: blanks part words, quotes keep them together, a backslash takes the next
/// character as it is (in double quotes only before `"` and `\`). Nothing is expanded.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
                if words.len() > MAX_WORDS {
                    return Err("a command line of more than 4096 words");
                }
            }
            '\'' => {
                begun = true;
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed"),
                    }
                }
            }
            '"' => {
                begun = true;
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') if matches!(chars.peek(), Some('"' | '\\')) => word.extend(chars.next()),
                        Some(c) => word.push(c),
                        None => return Err("a double quote is not closed"),
                    }
                }
            }
            '\\' => {
                begun = true;
                match chars.next() {
                    Some(c) => word.push(c),
                    None => return Err("a backslash at the end takes nothing"),
                }
            }
            c => {
                begun = true;
                word.push(c);
            }
        }
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// A number in decimal, `0x` or `0o`.
pub(super) fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()? as i64
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()?
    } else {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()? as i64
    };
    Some(value.wrapping_mul(sign))
}

/// `A|B|0x10` by a table. `Err` names what it does not have.
pub(super) fn flags(text: &str, table: &FlagTable) -> Result<u32, String> {
    text.split('|').map(str::trim).try_fold(0, |flags, part| {
        let value = table.value(part).or_else(|| number(part).map(|number| number as u32));
        value.map(|value| flags | value).ok_or_else(|| part.to_owned())
    })
}

/// 0, `ENOENT` or a number: what a call gave.
pub(super) fn result(text: &str) -> Option<i64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    (1..4096).find(|&code| crate::fields::names::errno(-code) == Some(text)).map(|code| -code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let words = |line| split(line).map(|words| words.join("|"));
        assert_eq!(words("sh -c 'cat /etc/shadow'"), Ok("sh|-c|cat /etc/shadow".to_owned()));
        assert_eq!(words(r#"a "b \"c\" $d \n" e\ f ''"#), Ok(r#"a|b "c" $d \n|e f|"#.to_owned()));
        assert_eq!(words("  "), Ok(String::new()));
        for bad in ["'a", "\"a", "a\\"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn results_are_numbers_or_names() {
        assert_eq!(result("ENOENT"), Some(-2));
        assert_eq!(result("EINPROGRESS"), Some(-115));
        assert_eq!(result("-13"), Some(-13));
        assert_eq!(result("0x10"), Some(16));
        assert_eq!(result("ENOTHING"), None);
        assert_eq!(result("1x"), None);
    }
}
