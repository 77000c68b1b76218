//! Capture: an exchange in, a receipt out, and nothing lost between.

mod damage;
mod disk;
mod doubt;
mod gaps;
mod journal;
mod kill;
mod learned;
mod memory;
mod observe;
mod postgres;
mod refused;
mod secrets;
mod spool;
mod support;
mod workers;
mod world;
mod write;
