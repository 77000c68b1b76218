//! The seams through which time and fresh ids come in.

use uuid::Uuid;

use super::Timestamp;

/// Tells the time. The service passes the system clock, tests a scripted one.
pub trait Clock: Send + Sync {
    /// The wall clock now; it may step back, and callers must bear that.
    fn now(&self) -> Timestamp;
}

/// Makes fresh UUIDv7 values. The service passes a random source, tests a counter.
pub trait Ids: Send + Sync {
    /// A UUIDv7 never given before.
    fn fresh(&self) -> Uuid;
}
