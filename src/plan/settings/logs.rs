//! Log rotation: Docker's `max-size` and `max-file` become kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
//!
//! Docker reads sizes as decimal (`10m` is 10 000 000 bytes; go-units `FromHumanSize`), and kubelet wants a Kubernetes
//! quantity, in which `10m` would be a hundredth. kubelet wants at least two files (`container_log_manager.go`).

use super::{Carried, Draft, Judged, values};
use crate::model::{Sourced, Verdict};
use crate::plan::kubelet;

const SIZE: (&str, &str) = ("containerLogMaxSize", "container-log-max-size");
const FILES: (&str, &str) = ("containerLogMaxFiles", "container-log-max-files");
const NOBODY: &str = "kubelet's own 10Mi × 5 apply";

/// What Docker does with a container's log.
#[derive(Debug, PartialEq, Eq)]
struct Rotation {
    bytes: u64,
    files: u32,
}

/// Carries the rotation.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    let facts = draft.facts;
    let driver = values::text(facts, "log-driver").unwrap_or_else(|| "json-file".to_owned());
    let options = values::pairs(facts, "log-opts");
    if driver != "json-file" && driver != "local" {
        let note = format!("options of log driver {driver}, which has no equivalent; {NOBODY}");
        return draft.decide("log-opts", &Judged::new(Verdict::NoEquivalent, "", note));
    }
    let lost: Vec<&str> = options.keys().map(String::as_str).filter(|key| !key.starts_with("max-")).collect();
    let lost = if lost.is_empty() { String::new() } else { format!("; {} have no equivalent", lost.join(", ")) };
    let rotation = match rotation(&driver, options.get("max-size"), options.get("max-file")) {
        Ok(Some(rotation)) => rotation,
        Ok(None) => {
            let note = format!("no max-size: Docker's logs grow without limit and max-file means nothing; {NOBODY}");
            return draft.decide("log-opts", &Judged::new(Verdict::Manual, "", note + &lost));
        }
        Err(wrong) => {
            let note = format!("{wrong}; {NOBODY}{lost}");
            return draft.decide("log-opts", &Judged::new(Verdict::Manual, SIZE.0, note));
        }
    };
    let judged = decide(draft, carried, &rotation, &lost);
    draft.decide("log-opts", &judged);
    if driver == "local" && options.is_empty() {
        draft.decide("log-driver", &judged);
    }
}

/// `Ok(None)`: no limit.
fn rotation(driver: &str, size: Option<&String>, files: Option<&String>) -> Result<Option<Rotation>, String> {
    let local = driver == "local";
    let bytes = match size {
        Some(text) => {
            bytes(text).filter(|bytes| *bytes > 0).ok_or_else(|| format!("`{text}` is no size that Docker takes"))?
        }
        None if local => 20 * 1024 * 1024,
        None => return Ok(None),
    };
    let files = match files {
        Some(text) => {
            text.trim().parse().ok().filter(|files| *files > 0).ok_or(format!("max-file `{text}` is no count"))?
        }
        None if local => 5,
        None => 1,
    };
    Ok(Some(Rotation { bytes, files }))
}

fn decide(draft: &Draft<'_>, carried: &mut Carried, rotation: &Rotation, lost: &str) -> Judged {
    let mut notes = Vec::new();
    let size = quantity(rotation.bytes);
    if quantity_bytes(&size) != Some(rotation.bytes) {
        notes.push(format!("{} bytes are rounded up to {size}", rotation.bytes));
    }
    let files = rotation.files.max(2);
    if rotation.files < 2 {
        notes.push(format!("kubelet keeps at least 2 files, Docker kept {}", rotation.files));
    }
    let wanted = [(SIZE, size), (FILES, files.to_string())];
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    let mut same = true;
    for ((field, _), value) in wanted {
        match kubelets(draft, field) {
            Some(own) if equal(field, &own.value, &value) => kept.push(format!("{field} {}", own.value)),
            Some(own) => {
                same = false;
                kept.push(format!("{field} {} ({}) stays, Docker had {value}", own.value, own.origin));
            }
            None => written.push((field, value)),
        }
    }
    let fields: Vec<&str> = written.iter().map(|(field, _)| *field).collect();
    let in_files = written.is_empty() || kubelet::has_place(draft, &fields);
    let flags: Vec<String> = written.iter().map(|(field, value)| flag(field, value)).collect();
    if !in_files && !kubelet::has_command_line(draft) {
        let note = format!("kubelet has no configuration file that could be changed; add {}", flags.join(" "));
        return Judged::new(Verdict::Manual, "kubelet's flags", note + lost);
    }
    let shown: Vec<String> = written.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    notes.extend(kept);
    let verdict = match (written.is_empty(), same) {
        (_, false) => Verdict::Manual,
        (true, true) => Verdict::Equal,
        (false, true) => Verdict::Carried,
    };
    if written.is_empty() {
        notes.push("kubelet's configuration says so already, and meant nothing while Docker wrote the logs".to_owned());
    } else {
        notes.push("rotation is kubelet's now".to_owned());
        if in_files && draft.facts.texts.contains_key("/var/lib/kubelet/kubeadm-flags.env") {
            notes
                .push("put it into kubeadm's ConfigMap kubelet-config too, which `kubeadm upgrade node` copies".into());
        }
    }
    carried.kubelet.extend(written);
    let target = match (shown.is_empty(), in_files) {
        (true, _) => format!("{} in kubelet's configuration", SIZE.0),
        (false, true) => format!("{} in kubelet's configuration", shown.join(", ")),
        (false, false) => format!("{} in kubelet's flags", flags.join(" ")),
    };
    Judged::new(verdict, target, notes.join("; ") + lost)
}

fn flag(field: &str, value: &str) -> String {
    format!("--{}={value}", if field == SIZE.0 { SIZE.1 } else { FILES.1 })
}

/// What kubelet has of its own: a flag beats its files.
fn kubelets(draft: &Draft<'_>, field: &str) -> Option<Sourced<String>> {
    let found = draft.facts.kubelet.setting(field)?;
    let text = found.value.as_str().map_or_else(|| found.value.to_string(), str::to_owned);
    (!text.is_empty() && !found.value.is_null()).then(|| Sourced::new(text, found.origin.clone()))
}

fn equal(field: &str, a: &str, b: &str) -> bool {
    if field == SIZE.0 { quantity_bytes(a).is_some() && quantity_bytes(a) == quantity_bytes(b) } else { a == b }
}

/// A size as Docker reads it: decimal, with fractions, any of `10m`, `10MB`, `10 mb`, `10MiB` (which is decimal too).
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let factor = 1000_u64.pow(power);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut sum = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let mut place = factor;
    for digit in fraction.chars().take(18) {
        place /= 10;
        sum = sum.checked_add(place.checked_mul(u64::from(digit.to_digit(10)?))?)?;
    }
    Some(sum)
}

/// The same as a quantity. Always with a unit: YAML would take bare digits for a number, and kubelet wants a text.
fn quantity(bytes: u64) -> String {
    const DECIMAL: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    const BINARY: [(u64, &str); 3] = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let whole = |units: [(u64, &'static str); 3]| {
        units
            .into_iter()
            .find(|(factor, _)| bytes.is_multiple_of(*factor))
            .map(|(factor, unit)| format!("{}{unit}", bytes / factor))
    };
    whole(DECIMAL).or_else(|| whole(BINARY)).unwrap_or_else(|| format!("{}k", bytes.div_ceil(1000)))
}

/// Bytes of a quantity without fractions.
fn quantity_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_decimal_for_docker() {
        for (text, value) in [
            ("10m", Some(10_000_000)),
            ("10M", Some(10_000_000)),
            ("10MB", Some(10_000_000)),
            ("10 MiB", Some(10_000_000)),
            ("1.5g", Some(1_500_000_000)),
            ("512k", Some(512_000)),
            ("1024", Some(1024)),
            ("20b", Some(20)),
            ("-1", None),
            ("ten", None),
            ("", None),
            ("10mm", None),
            ("99999999999999999999p", None),
        ] {
            assert_eq!(bytes(text), value, "{text}");
        }
    }

    #[test]
    fn quantities_are_whole_and_never_bare() {
        for (bytes, text) in [
            (10_000_000, "10M"),
            (1_500_000_000, "1500M"),
            (512_000, "512k"),
            (20 << 20, "20Mi"),
            (1024, "1Ki"),
            (12_345, "13k"),
        ] {
            assert_eq!(quantity(bytes), text);
        }
        assert_eq!(quantity_bytes("10m"), None, "a hundredth of a byte is no size");
    }

    #[test]
    fn defaults_of_both_drivers() {
        let text = |text: &str| text.to_owned();
        assert_eq!(rotation("json-file", None, Some(&text("3"))), Ok(None));
        assert_eq!(rotation("json-file", Some(&text("10m")), None), Ok(Some(Rotation { bytes: 10_000_000, files: 1 })));
        assert_eq!(rotation("local", None, None), Ok(Some(Rotation { bytes: 20 << 20, files: 5 })));
        for (size, files) in [("-1", "1"), ("0", "1"), ("1m", "0"), ("1m", "x")] {
            assert!(rotation("json-file", Some(&text(size)), Some(&text(files))).is_err(), "{size} {files}");
        }
    }

    proptest! {
        #[test]
        fn quantities_are_at_least_the_bytes(count in 1_u64..1 << 50) {
            let back = quantity_bytes(&quantity(count)).unwrap();
            prop_assert!(back >= count && back - count < 1000);
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,12}", odd in "[0-9.kmgtpib ]{0,24}") {
            let _ = (bytes(&text), bytes(&odd), quantity_bytes(&text), quantity_bytes(&odd));
        }
    }
}
