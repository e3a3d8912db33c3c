//! What the integration tests share: file trees and their comparison, fixture nodes, a simulated running node, alone and in a cluster, and the
//! two worlds (file tree, running node) that the attacks are run against.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

pub mod docker_store;
pub mod fixture;
pub mod member;
pub mod program;
pub mod sim;
pub mod sim_parts;
pub mod terminal;
pub mod tree;
pub mod world;
