//! The promises, on the whole product: real processes, a real Postgres, kill -9.

mod load;
mod many;
mod p1_disk_full;
mod p1_kill;
pub(crate) mod p3;
mod p4_gaps;
pub(crate) mod power;
mod several;
