//! Go's layouts for times, which write out the moment `Mon Jan 2 15:04:05 MST 2006`.

use crate::error::CallError;
use crate::value::Value;
use jiff::{Zoned, civil};

/// One piece of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece<'a> {
    Literal(&'a str),
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    YearDay,
    Hour24,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    /// `-0700` and its kin: colons, seconds wanted, minutes wanted, `Z` for UTC.
    Offset {
        colon: bool,
        minutes: bool,
        zulu: bool,
    },
    /// `.000` or `.999`: digits, and whether trailing zeros go.
    Fraction {
        digits: usize,
        trims: bool,
        comma: bool,
    },
}

/// Words of layouts; of two that match the earlier wins, so longer ones come first.
const WORDS: &[(&str, Piece<'static>)] = &[
    ("January", Piece::LongMonth),
    ("Jan", Piece::Month),
    ("Monday", Piece::LongWeekday),
    ("Mon", Piece::Weekday),
    ("MST", Piece::ZoneName),
    ("2006", Piece::LongYear),
    ("__2", Piece::YearDay),
    ("_2", Piece::SpaceDay),
    ("002", Piece::YearDay),
    ("01", Piece::ZeroMonth),
    ("02", Piece::ZeroDay),
    ("03", Piece::ZeroHour12),
    ("04", Piece::ZeroMinute),
    ("05", Piece::ZeroSecond),
    ("06", Piece::Year),
    ("15", Piece::Hour24),
    ("PM", Piece::UpperPm),
    ("pm", Piece::LowerPm),
    ("-07:00", Piece::Offset { colon: true, minutes: true, zulu: false }),
    ("-0700", Piece::Offset { colon: false, minutes: true, zulu: false }),
    ("-07", Piece::Offset { colon: false, minutes: false, zulu: false }),
    ("Z07:00", Piece::Offset { colon: true, minutes: true, zulu: true }),
    ("Z0700", Piece::Offset { colon: false, minutes: true, zulu: true }),
    ("Z07", Piece::Offset { colon: false, minutes: false, zulu: true }),
    ("1", Piece::NumMonth),
    ("2", Piece::Day),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
];

fn pieces(layout: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < layout.len() {
        let found = word(&layout[at..]);
        let Some((length, piece)) = found else {
            at += layout[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if start < at {
            pieces.push(Piece::Literal(&layout[start..at]));
        }
        pieces.push(piece);
        at += length;
        start = at;
    }
    if start < layout.len() {
        pieces.push(Piece::Literal(&layout[start..]));
    }
    pieces
}

fn word(rest: &str) -> Option<(usize, Piece<'_>)> {
    if let Some(found) = fraction(rest) {
        return Some(found);
    }
    let (text, piece) = WORDS.iter().find(|(text, _)| rest.starts_with(text))?;
    // "Jan" and "Mon" only count when no small letter follows: "Month" is not a weekday.
    let follows_small = rest[text.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    if matches!(piece, Piece::Month | Piece::Weekday) && follows_small {
        return None;
    }
    // "_2006" is a literal underscore and the year.
    if *piece == Piece::SpaceDay && rest.starts_with("_2006") {
        return None;
    }
    Some((text.len(), *piece))
}

/// `.000`, `.999`, `,000`: only when no further digit follows.
fn fraction(rest: &str) -> Option<(usize, Piece<'_>)> {
    let comma = rest.starts_with(',');
    let body = rest.strip_prefix(['.', ','])?;
    let digit = body.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = body.len() - body.trim_start_matches(digit).len();
    if body[digits..].starts_with(|c: char| c.is_ascii_digit()) || digits > 9 {
        return None;
    }
    Some((digits + 1, Piece::Fraction { digits, trims: digit == '9', comma }))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn name_at(names: &'static [&'static str], number: i8) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|at| names.get(at)).copied().unwrap_or("?")
}

/// `time` by a Go layout.
pub(crate) fn format(time: &Zoned, layout: &str) -> String {
    pieces(layout).into_iter().map(|piece| piece_text(time, piece)).collect()
}

fn piece_text(time: &Zoned, piece: Piece<'_>) -> String {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let month = name_at(&MONTHS, time.month());
    let weekday = name_at(&DAYS, time.weekday().to_monday_one_offset());
    match piece {
        Piece::Literal(text) => text.to_owned(),
        Piece::LongMonth => month.to_owned(),
        Piece::Month => month[..3].to_owned(),
        Piece::NumMonth => time.month().to_string(),
        Piece::ZeroMonth => format!("{:02}", time.month()),
        Piece::LongWeekday => weekday.to_owned(),
        Piece::Weekday => weekday[..3].to_owned(),
        Piece::Day => time.day().to_string(),
        Piece::SpaceDay => format!("{:2}", time.day()),
        Piece::ZeroDay => format!("{:02}", time.day()),
        Piece::YearDay => format!("{:03}", time.day_of_year()),
        Piece::Hour24 => format!("{:02}", time.hour()),
        Piece::Hour12 => hour12.to_string(),
        Piece::ZeroHour12 => format!("{hour12:02}"),
        Piece::Minute => time.minute().to_string(),
        Piece::ZeroMinute => format!("{:02}", time.minute()),
        Piece::Second => time.second().to_string(),
        Piece::ZeroSecond => format!("{:02}", time.second()),
        Piece::LongYear => format!("{:04}", time.year()),
        Piece::Year => format!("{:02}", time.year().rem_euclid(100)),
        Piece::UpperPm => if time.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        Piece::LowerPm => if time.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        Piece::ZoneName => zone_name(time),
        Piece::Offset { colon, minutes, zulu } => offset_text(time, colon, minutes, zulu),
        Piece::Fraction { digits, trims, comma } => {
            let nanos = format!("{:09}", time.subsec_nanosecond());
            let text = &nanos[..digits];
            let text = if trims { text.trim_end_matches('0') } else { text };
            let mark = if comma { ',' } else { '.' };
            if text.is_empty() { String::new() } else { format!("{mark}{text}") }
        }
    }
}

/// The abbreviation of the zone, or its offset when it has none.
fn zone_name(time: &Zoned) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    let name = info.abbreviation();
    if name.starts_with(['+', '-']) || name.is_empty() {
        let offset = time.offset().seconds();
        return match offset {
            0 => "UTC".to_owned(),
            _ if offset % 3600 == 0 => offset_text(time, false, false, false),
            _ => offset_text(time, false, true, false),
        };
    }
    name.to_owned()
}

fn offset_text(time: &Zoned, colon: bool, minutes: bool, zulu: bool) -> String {
    let seconds = time.offset().seconds();
    if zulu && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs() / 60;
    let (hours, rest) = (total / 60, total % 60);
    match (minutes, colon) {
        (false, _) => format!("{sign}{hours:02}"),
        (true, false) => format!("{sign}{hours:02}{rest:02}"),
        (true, true) => format!("{sign}{hours:02}:{rest:02}"),
    }
}

/// The parts of a time as far as the text told them.
struct Parsed {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    pm: Option<bool>,
    offset: Option<i32>,
}

/// The time that `text` stands for under a Go layout; in `zone` unless it names an offset.
pub(crate) fn parse(layout: &str, text: &str, zone: jiff::tz::TimeZone) -> Option<Zoned> {
    let mut parsed = Parsed {
        year: 0,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        pm: None,
        offset: None,
    };
    let mut rest = text;
    for piece in pieces(layout) {
        rest = parsed.take(piece, rest)?;
    }
    if !rest.is_empty() {
        return None;
    }
    let hour = match parsed.pm {
        Some(true) if parsed.hour < 12 => parsed.hour + 12,
        Some(false) if parsed.hour == 12 => 0,
        _ => parsed.hour,
    };
    let date = civil::Date::new(parsed.year, parsed.month, parsed.day).ok()?;
    let time = civil::Time::new(hour, parsed.minute, parsed.second, parsed.nanos).ok()?;
    let zone = match parsed.offset {
        None => zone,
        Some(0) => jiff::tz::TimeZone::UTC,
        Some(seconds) => jiff::tz::Offset::from_seconds(seconds).ok()?.to_time_zone(),
    };
    date.to_datetime(time).to_zoned(zone).ok()
}

impl Parsed {
    /// Takes what `piece` stands for off the front of `rest`.
    fn take<'t>(&mut self, piece: Piece<'_>, rest: &'t str) -> Option<&'t str> {
        let mut rest = rest;
        match piece {
            Piece::Literal(text) => return rest.strip_prefix(text),
            Piece::LongMonth => self.month = one_of(&MONTHS, usize::MAX, &mut rest)?,
            Piece::Month => self.month = one_of(&MONTHS, 3, &mut rest)?,
            Piece::LongWeekday => drop(one_of(&DAYS, usize::MAX, &mut rest)?),
            Piece::Weekday => drop(one_of(&DAYS, 3, &mut rest)?),
            Piece::NumMonth => self.month = number(&mut rest, 1, 2)?,
            Piece::ZeroMonth => self.month = number(&mut rest, 2, 2)?,
            Piece::Day => self.day = number(&mut rest, 1, 2)?,
            Piece::SpaceDay => {
                rest = rest.trim_start_matches(' ');
                self.day = number(&mut rest, 1, 2)?;
            }
            Piece::ZeroDay => self.day = number(&mut rest, 2, 2)?,
            Piece::YearDay => drop(number::<i16>(&mut rest, 3, 3)?),
            Piece::Hour24 => self.hour = number(&mut rest, 2, 2)?,
            Piece::Hour12 => self.hour = number(&mut rest, 1, 2)?,
            Piece::ZeroHour12 => self.hour = number(&mut rest, 2, 2)?,
            Piece::Minute => self.minute = number(&mut rest, 1, 2)?,
            Piece::ZeroMinute => self.minute = number(&mut rest, 2, 2)?,
            Piece::Second => {
                self.second = number(&mut rest, 1, 2)?;
                self.implied_fraction(&mut rest);
            }
            Piece::ZeroSecond => {
                self.second = number(&mut rest, 2, 2)?;
                self.implied_fraction(&mut rest);
            }
            Piece::LongYear => self.year = number(&mut rest, 4, 4)?,
            Piece::Year => {
                let short: i16 = number(&mut rest, 2, 2)?;
                self.year = if short >= 69 { short + 1900 } else { short + 2000 };
            }
            Piece::UpperPm => self.pm = Some(choice("PM", "AM", &mut rest)?),
            Piece::LowerPm => self.pm = Some(choice("pm", "am", &mut rest)?),
            Piece::ZoneName => {
                let end = rest.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(rest.len());
                if end < 3 {
                    return None;
                }
                rest = &rest[end..];
            }
            Piece::Offset { colon, minutes, zulu } => {
                if let Some(after) = rest.strip_prefix('Z').filter(|_| zulu) {
                    self.offset = Some(0);
                    return Some(after);
                }
                let negative = choice("-", "+", &mut rest)?;
                let mut seconds = number::<i32>(&mut rest, 2, 2)? * 3600;
                if minutes {
                    rest = if colon { rest.strip_prefix(':')? } else { rest };
                    seconds += number::<i32>(&mut rest, 2, 2)? * 60;
                }
                self.offset = Some(if negative { -seconds } else { seconds });
            }
            Piece::Fraction { .. } => self.implied_fraction(&mut rest),
        }
        Some(rest)
    }

    /// Go takes a fraction after the seconds even when the layout has none.
    fn implied_fraction(&mut self, rest: &mut &str) {
        let Some(body) = rest.strip_prefix('.') else { return };
        let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
        if end > 0 {
            let digits: String = body[..end].chars().chain("000000000".chars()).take(9).collect();
            self.nanos = digits.parse().unwrap_or(0);
            *rest = &body[end..];
        }
    }
}

fn number<T: std::str::FromStr>(rest: &mut &str, min: usize, max: usize) -> Option<T> {
    let digits = rest.bytes().take(max).take_while(u8::is_ascii_digit).count();
    if digits < min {
        return None;
    }
    let (text, after) = rest.split_at(digits);
    *rest = after;
    text.parse().ok()
}

fn choice(yes: &str, no: &str, rest: &mut &str) -> Option<bool> {
    let (answer, after) = match (rest.strip_prefix(yes), rest.strip_prefix(no)) {
        (Some(after), _) => (true, after),
        (None, Some(after)) => (false, after),
        (None, None) => return None,
    };
    *rest = after;
    Some(answer)
}

/// The position, from 1, of the name that `rest` starts with; `length` cuts the names.
fn one_of(names: &[&str], length: usize, rest: &mut &str) -> Option<i8> {
    for (index, name) in names.iter().enumerate() {
        let name = &name[..name.len().min(length)];
        let found = rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if found {
            *rest = &rest[name.len()..];
            return i8::try_from(index + 1).ok();
        }
    }
    None
}

/// The methods of Go's `time.Time` that make sense in a template.
pub(crate) fn time_method(time: &Value, name: &str, args: &[Value]) -> Result<Value, CallError> {
    let fail = |message: String| CallError::Evaluate(message);
    let Value::Time(time) = time else { return Err(fail(format!("{name} needs a time"))) };
    let number = |number: i64| Ok(Value::Int(number));
    match (name, args) {
        ("Format", [Value::Str(layout)]) => Ok(Value::from(format(time, layout))),
        ("String", []) => Ok(Value::from(Value::Time(time.clone()).to_string())),
        ("Unix", []) => number(time.timestamp().as_second()),
        ("UnixNano", []) => number(i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(0)),
        ("Year", []) => number(i64::from(time.year())),
        ("Month", []) => Ok(Value::from(name_at(&MONTHS, time.month()))),
        ("Day", []) => number(i64::from(time.day())),
        ("Hour", []) => number(i64::from(time.hour())),
        ("Minute", []) => number(i64::from(time.minute())),
        ("Second", []) => number(i64::from(time.second())),
        ("Nanosecond", []) => number(i64::from(time.subsec_nanosecond())),
        ("YearDay", []) => number(i64::from(time.day_of_year())),
        ("Weekday", []) => Ok(Value::from(name_at(&DAYS, time.weekday().to_monday_one_offset()))),
        ("UTC", []) => Ok(Value::Time(time.with_time_zone(jiff::tz::TimeZone::UTC).into())),
        _ => Err(fail(format!("can't call method {name} of a time with {} arguments", args.len()))),
    }
}
