//! An exact decimal number.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

const DIGITS_MAX: u32 = 38;

/// An exact decimal number of at most 38 digits, which keeps its scale: 1.50 stays 1.50, and equals 1.5.
///
/// What it has no room for, and `NaN` of PostgreSQL, is to be had as text.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    unscaled: i128,
    scale: u32,
}

impl Decimal {
    /// `unscaled` / 10^`scale`; `None` beyond 38 digits.
    pub fn new(unscaled: i128, scale: u32) -> Option<Decimal> {
        let fits = scale <= DIGITS_MAX && unscaled.unsigned_abs() < 10u128.pow(DIGITS_MAX);
        fits.then_some(Decimal { unscaled, scale })
    }

    /// The number without its point.
    pub fn unscaled(&self) -> i128 {
        self.unscaled
    }

    /// How many digits are behind the point.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The part before the point, and that behind it as 38 digits, both with the sign.
    fn parts(&self) -> (i128, i128) {
        let unit = 10i128.pow(self.scale);
        (self.unscaled / unit, self.unscaled % unit * 10i128.pow(DIGITS_MAX - self.scale))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal { unscaled: i128::from(value), scale: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Decimal {
        Decimal { unscaled: i128::from(value), scale: 0 }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        f.pad_integral(self.unscaled >= 0, "", &text)
    }
}

/// A text that is no number of at most 38 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDecimal;

impl fmt::Display for NoDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number of at most 38 digits")
    }
}

impl std::error::Error for NoDecimal {}

impl FromStr for Decimal {
    type Err = NoDecimal;

    fn from_str(text: &str) -> Result<Decimal, NoDecimal> {
        let (is_negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || digits.ends_with('.') {
            return Err(NoDecimal);
        }
        let mut unscaled = 0i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return Err(NoDecimal);
            }
            let next = unscaled.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit - b'0')));
            unscaled = next.ok_or(NoDecimal)?;
        }
        let scale = u32::try_from(fraction.len()).map_err(|_| NoDecimal)?;
        Decimal::new(if is_negative { -unscaled } else { unscaled }, scale).ok_or(NoDecimal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in [
            "0",
            "0.00",
            "1.50",
            "-1.50",
            "-0.5",
            "99999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000001",
        ] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
        for (text, written) in [(".5", "0.5"), ("+7", "7"), ("007.10", "7.10"), ("-0", "0")] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), written);
        }
        for text in
            ["", "-", ".", "1.", "1e3", "NaN", "1.2.3", "--1", "1 ", "é", "100000000000000000000000000000000000000"]
        {
            assert_eq!(text.parse::<Decimal>(), Err(NoDecimal), "{text}");
        }
        assert_eq!(
            format!("{:>7}|{:07}", Decimal::new(-150, 2).unwrap(), Decimal::new(-150, 2).unwrap()),
            "  -1.50|-001.50"
        );
    }

    #[test]
    fn it_is_compared_as_a_number() {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(number("1.50"), number("1.5"));
        assert!(number("-1.5") < number("-1.49"));
        assert!(number("-0.1") < number("0"));
        assert!(number("99999999999999999999999999999999999999") > number("0.99999999999999999999999999999999999999"));
        assert_eq!(Decimal::from(u64::MAX).to_string(), "18446744073709551615");
    }
}
