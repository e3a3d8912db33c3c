//! The reference runtime: an OCI runtime inside castoff (libcontainer), with which a node's kernel and cgroups are
//! tried apart from the node's own runc, and the small workload that is run in it.
//!
//! It never runs inside castoff's own process: libcontainer clones a process that goes on in Rust, and next to another
//! thread that hangs. Whoever wants a container starts `castoff oci …`, a fresh process with one thread.

pub mod attempt;
pub mod bundle;
pub mod oci;
pub mod workload;
