//! The daemon itself: how much it downloads at once, what it logs, and what it shows of itself.

use super::{Draft, Judged, containerd_version, path_of, values};
use crate::{
    formats::containerd::{Literal, Place},
    model::Verdict,
};

/// Docker's default, and containerd's.
const DOWNLOADS: u32 = 3;
/// The transfer service, which pulls from containerd 2.1 on.
const TRANSFER: &str = "io.containerd.transfer.v1.local";

/// Carries them.
pub fn carry(draft: &mut Draft<'_>) {
    downloads(draft);
    log(draft);
    let note = "containerd can serve metrics, but of other names; a port is not opened unasked";
    draft
        .decide("metrics-addr", &Judged::new(Verdict::Manual, "[metrics] address in containerd's configuration", note));
    let note = "the daemon's own score; containerd's unit has OOMScoreAdjust for it";
    draft.decide("oom-score-adjust", &Judged::new(Verdict::Equal, "containerd.service", note));
}

fn downloads(draft: &mut Draft<'_>) {
    let key = "max-concurrent-downloads";
    let Some(wanted) = values::text(draft.facts, key) else { return };
    let serial = "kubelet pulls one image after the other unless serializeImagePulls is false";
    let judged = match (wanted.parse::<u32>(), containerd_version(draft.facts)) {
        (Ok(DOWNLOADS), _) => Judged::new(Verdict::Equal, "", format!("containerd's default is {DOWNLOADS} too")),
        (Ok(count), Some(version)) if count > 0 => {
            // From 2.1 on the setting of CRI makes containerd fall back to its old way of pulling.
            let (place, shown) = if version >= (2, 1) {
                let path = path_of(&["plugins", TRANSFER, "max_concurrent_downloads"]);
                (Place::Top(path), format!("max_concurrent_downloads of {TRANSFER}"))
            } else {
                (Place::Images(path_of(&["max_concurrent_downloads"])), "max_concurrent_downloads of CRI".to_owned())
            };
            draft.set_containerd(place, Literal::Integer(count));
            Judged::new(Verdict::Carried, shown, serial)
        }
        _ => {
            Judged::new(Verdict::Manual, "max_concurrent_downloads", format!("`{wanted}` cannot be written; {serial}"))
        }
    };
    draft.decide(key, &judged);
}

/// Docker's `debug` is its level `debug`.
fn log(draft: &mut Draft<'_>) {
    let debug = values::switch(draft.facts, "debug") == Some(true);
    let level = values::text(draft.facts, "log-level");
    let wanted = if debug { Some("debug".to_owned()) } else { level };
    for key in ["debug", "log-level"] {
        let judged = match wanted.as_deref() {
            None | Some("info") => Judged::new(Verdict::Equal, "", "containerd's level is info unless set"),
            Some(level @ ("debug" | "warn" | "error" | "fatal")) => one(draft, "level", level),
            Some(other) => Judged::new(Verdict::Manual, "[debug] level", format!("containerd has no level `{other}`")),
        };
        draft.decide(key, &judged);
    }
    if let Some(format) = values::text(draft.facts, "log-format") {
        let judged = match format.as_str() {
            "text" => Judged::new(Verdict::Equal, "", "containerd writes text unless told otherwise"),
            "json" => one(draft, "format", "json"),
            other => Judged::new(Verdict::Manual, "[debug] format", format!("containerd has no format `{other}`")),
        };
        draft.decide("log-format", &judged);
    }
}

/// One key of `[debug]`; what containerd has of its own stays.
fn one(draft: &mut Draft<'_>, key: &str, value: &str) -> Judged {
    let place = || Place::Top(path_of(&["debug", key]));
    let target = format!("[debug] {key}");
    let own = draft.containerd_says(&place());
    let set = match &own {
        Some(own) => match &own.value {
            Literal::Text(text) if text.is_empty() => None,
            Literal::Text(text) => Some(text.clone()),
            _ => return Judged::new(Verdict::Manual, target, format!("{} holds no text", own.origin)),
        },
        None => None,
    };
    match set {
        Some(text) if text == value => Judged::new(Verdict::Equal, target, "containerd's configuration says so"),
        Some(text) => {
            let note = format!("containerd's configuration says {text}, which stays; Docker had {value}");
            Judged::new(Verdict::Manual, target, note)
        }
        None => {
            if !draft.containerd.iter().any(|setting| setting.place == place()) {
                draft.set_containerd(place(), Literal::from(value));
            }
            Judged::new(Verdict::Carried, target, "of containerd's own log")
        }
    }
}
