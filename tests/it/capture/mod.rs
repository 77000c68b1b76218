//! Capture: an exchange in, a receipt out, and nothing lost between.

mod disk;
mod doubt;
mod gaps;
mod journal;
mod kill;
mod memory;
mod observe;
mod postgres;
mod spool;
mod support;
mod workers;
mod world;
mod write;
