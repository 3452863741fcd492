//! Dates. Zones are those of the system's database, or of the one compiled in.

use super::{Result, goduration, golayout};
use crate::functions::{Args, Builtin, one};
use crate::scope::Scope;
use crate::value::Value;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

const HTML: &str = "2006-01-02";

pub(super) const TABLE: &[Builtin] = &[
    one("now", 0, "func() time.Time", &["The current time."], |_, _| {
        Ok(Value::Time(Zoned::now().into()))
    }),
    one(
        "date",
        2,
        "func(string, interface {}) string",
        &["A time by a Go layout, in the local zone."],
        |_, a| Ok(Value::from(golayout::format(&local(a.any(1)), a.text(0)?))),
    ),
    one(
        "dateInZone",
        3,
        "func(string, interface {}, string) string",
        &["A time by a Go layout in a zone: layout, time, zone."],
        |s, a| in_zone(s, a.text(0)?, a, 1),
    ),
    one(
        "date_in_zone",
        3,
        "func(string, interface {}, string) string",
        &["Older name of dateInZone."],
        |s, a| in_zone(s, a.text(0)?, a, 1),
    ),
    one(
        "htmlDate",
        1,
        "func(interface {}) string",
        &["A date as HTML's date fields take it."],
        |_, a| Ok(Value::from(golayout::format(&local(a.any(0)), HTML))),
    ),
    one(
        "htmlDateInZone",
        2,
        "func(interface {}, string) string",
        &["A date in a zone as HTML's date fields take it."],
        |s, a| in_zone(s, HTML, a, 0),
    ),
    one(
        "dateModify",
        2,
        "func(string, time.Time) time.Time",
        &["A time moved by a duration, for example -1h30m."],
        modify,
    ),
    one(
        "date_modify",
        2,
        "func(string, time.Time) time.Time",
        &["Older name of dateModify."],
        modify,
    ),
    one(
        "ago",
        1,
        "func(interface {}) string",
        &["The duration since a time, in whole seconds."],
        |_, a| {
            let seconds = Timestamp::now().duration_since(time(a.any(0)).timestamp()).as_secs();
            Ok(Value::from(goduration::print(SignedDuration::from_secs(seconds))))
        },
    ),
    one(
        "toDate",
        2,
        "func(string, string) time.Time",
        &["The time that a text stands for under a Go layout; the year 1 if it does not fit."],
        to_date,
    ),
    one("unixEpoch", 1, "func(time.Time) string", &["Seconds since 1970 of a time."], |_, a| {
        Ok(Value::from(time(a.any(0)).timestamp().as_second().to_string()))
    }),
    one(
        "duration",
        1,
        "func(interface {}) string",
        &["A number of seconds as a duration."],
        |_, a| {
            let seconds = match a.any(0) {
                Value::Str(text) => text.parse().unwrap_or(0),
                other => other.as_int().unwrap_or(0),
            };
            // Go keeps durations in nanoseconds; more seconds than fit are cut there.
            let most = i64::MAX / 1_000_000_000;
            Ok(Value::from(goduration::print(SignedDuration::from_secs(
                seconds.clamp(-most, most),
            ))))
        },
    ),
];

/// A time in its own zone; a number is seconds since 1970; anything else is now.
fn time(value: &Value) -> Zoned {
    match value {
        Value::Time(time) => (**time).clone(),
        Value::Int(_) | Value::Float(_) => {
            let seconds = value.as_int().and_then(|s| Timestamp::from_second(s).ok());
            seconds.unwrap_or_else(Timestamp::now).to_zoned(TimeZone::system())
        }
        _ => Zoned::now(),
    }
}

fn local(value: &Value) -> Zoned {
    time(value).with_time_zone(TimeZone::system())
}

/// The zone is the argument after the time; an unknown one means UTC, as in sprig.
fn in_zone(_: &Scope<'_>, layout: &str, args: &Args<'_>, index: usize) -> Result {
    let zone = match args.text(index + 1)? {
        "Local" => TimeZone::system(),
        "" | "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    let time = time(args.any(index)).with_time_zone(zone);
    Ok(Value::from(golayout::format(&time, layout)))
}

fn modify(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let Value::Time(time) = args.any(1) else { return Err(args.wrong_type(1, "time.Time")) };
    // A text that is no duration changes nothing, as in sprig.
    let moved = goduration::parse(args.text(0)?).and_then(|by| time.checked_add(by).ok());
    Ok(moved.map_or_else(|| args.any(1).clone(), |moved| Value::Time(moved.into())))
}

fn to_date(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let parsed = golayout::parse(args.text(0)?, args.text(1)?, TimeZone::system())
        .or_else(|| jiff::civil::date(1, 1, 1).to_zoned(TimeZone::UTC).ok());
    match parsed {
        Some(time) => Ok(Value::Time(time.into())),
        None => Err(args.fail("no such date")),
    }
}
