//! Capture: an exchange in, a receipt out, and nothing lost between.

mod disk;
mod journal;
mod kill;
mod support;
