//! The promises, on the whole product: real processes, a real Postgres, kill -9.

mod load;
mod p1_kill;
mod p3;
mod power;
