//! castoff moves live Kubernetes nodes from Docker to containerd, and back.
//!
//! The house is laid out along the way the data goes:
//! **inspect → check → plan → apply → verify → report**.
//!
//! | Room | Owns | May know |
//! |---|---|---|
//! | [`model`] | the field's words as values | nothing |
//! | [`formats`] | files that belong to others: text in, edited text out | `model` |
//! | [`checks`] | facts → findings | `formats`, `model` |
//! | [`plan`] | facts + desired → plan | `formats`, `model` |
//! | [`report`] | documents → text and JSON | `formats`, `model` |
//! | [`host`] | the only side effects: files, systemd, Docker, CRI, processes, clock | `formats`, `model` |
//! | [`inspect`] | host → facts | the above |
//! | [`cluster`] | the node in its cluster: drain, annotation, Ready | `host`, `formats`, `model` |
//! | [`images`], [`verify`] | carrying images; proving the node | the above |
//! | [`runtime`] | the reference runtime and its workload | `host`, `formats`, `model` |
//! | [`apply`] | plan → journal: do, undo, resume | the above |
//! | [`cli`], `ui` | people | everything |
//!
//! `tests/house.rs` fails when an import goes the wrong way, and `clippy.toml` keeps files, environment, processes and
//! clocks out of every room but `host`.

pub mod apply;
pub mod checks;
pub mod cli;
pub mod cluster;
pub mod formats;
pub mod host;
pub mod images;
pub mod inspect;
pub mod model;
pub mod plan;
pub mod report;
pub mod runtime;
mod ui;
pub mod verify;
