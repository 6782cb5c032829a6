//! Moments as text, as the engines write and read them. Days are counted as in
//! <https://howardhinnant.github.io/date_algorithms.html>, in the Gregorian calendar, also before it was there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// "2026-11-28 10:11:12.345678", with "+00:00" behind it if wanted. Fractions below a microsecond, which no engine keeps, are left out.
pub(crate) fn text(moment: SystemTime, with_zone: bool) -> String {
    let microseconds = match moment.duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_micros()).unwrap_or(i128::MAX),
        // Downwards, as above.
        Err(before) => -i128::try_from((before.duration().as_nanos() + 999) / 1_000).unwrap_or(i128::MAX),
    };
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut text =
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    if with_zone {
        text.push_str("+00:00");
    }
    text
}

/// Year, month and day of a day that is counted from 1970.
fn civil(days: i128) -> (i128, i128, i128) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

/// The day, counted from 1970; `None` for one that is in no calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let shifted = year - i64::from(month <= 2);
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Reads "2026-11-28", "2026-11-28 10:11:12.5", and with a zone ("Z", "+01", "+01:30", "-00:19:32") behind it.
pub(crate) fn parsed(text: &str) -> Option<SystemTime> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    let month = separated(&mut rest, '-')?;
    let day = separated(&mut rest, '-')?;
    let mut seconds = days(year, month, day)?.checked_mul(86_400)?;
    let mut fraction = Duration::ZERO;
    if !rest.is_empty() {
        rest = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('T'))?;
        let hour = digits(&mut rest, 2)?;
        let minute = separated(&mut rest, ':')?;
        let second = separated(&mut rest, ':')?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds += hour * 3_600 + minute * 60 + second;
        if let Some(behind) = rest.strip_prefix('.') {
            let count = behind.bytes().take_while(u8::is_ascii_digit).count();
            if count == 0 || count > 9 {
                return None;
            }
            fraction = Duration::from_nanos(format!("{:0<9}", &behind[..count]).parse().ok()?);
            rest = &behind[count..];
        }
        seconds -= zone(rest)?;
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    base.checked_add(fraction)
}

/// The seconds by which a zone is before UTC.
fn zone(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'Z') if text.len() == 1 => return Some(0),
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return None,
    };
    let mut seconds = digits(&mut rest, 2)? * 3_600;
    for unit in [60, 1] {
        if !rest.is_empty() {
            seconds += separated(&mut rest, ':')? * unit;
        }
    }
    rest.is_empty().then_some(sign * seconds)
}

fn separated(rest: &mut &str, separator: char) -> Option<i64> {
    *rest = rest.strip_prefix(separator)?;
    digits(rest, 2)
}

/// Exactly so many digits.
fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let taken = rest.get(..count).filter(|taken| taken.bytes().all(|byte| byte.is_ascii_digit()))?;
    *rest = &rest[count..];
    taken.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_is_read_as_it_is_written() {
        for day in (-146_097i64..146_097).step_by(3) {
            let seconds = Duration::from_secs(day.unsigned_abs() * 86_400);
            let moment = if day < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
            let written = text(moment, false);
            assert_eq!(parsed(&written), Some(moment), "{written}");
            assert_eq!(parsed(&written[..10]), Some(moment), "{written}");
        }
        // As date(1) says.
        assert_eq!(text(UNIX_EPOCH + Duration::from_secs(1_709_164_800), true), "2024-02-29 00:00:00+00:00");
        assert_eq!(text(UNIX_EPOCH - Duration::from_secs(11_644_473_600), true), "1601-01-01 00:00:00+00:00");
    }

    #[test]
    fn fractions_and_zones() {
        let moment = UNIX_EPOCH + Duration::new(1_795_860_672, 345_678_000);
        assert_eq!(text(moment, true), "2026-11-28 10:11:12.345678+00:00");
        for same in [
            "2026-11-28 10:11:12.345678",
            "2026-11-28T10:11:12.345678Z",
            "2026-11-28 11:41:12.345678+01:30",
            "2026-11-28 09:51:40.345678-00:19:32",
        ] {
            assert_eq!(parsed(same), Some(moment), "{same}");
        }
        assert_eq!(text(UNIX_EPOCH - Duration::from_nanos(1), false), "1969-12-31 23:59:59.999999");
        assert_eq!(parsed("1969-12-31 23:59:59.5"), Some(UNIX_EPOCH - Duration::from_millis(500)));
        for none in [
            "infinity",
            "0000-00-00",
            "2026-02-29",
            "2026-11-28 24:00:00",
            "2026-11-28 10:11",
            "2026-11-28 10:11:12+1",
            "44-03-15 BC",
            "2026-11-28é",
            "12026-11-28",
        ] {
            assert_eq!(parsed(none), None, "{none}");
        }
    }
}
