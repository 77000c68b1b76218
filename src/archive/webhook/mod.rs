//! Webhooks: where events are sent by themselves, what waits to be sent, and the keys that sign it.
//!
//! Invariants: who set one up, and every change, is an entry before it counts; where one leads is read in that entry, whose content opens only
//! for whoever has the master key. What waits ([`queue`]) is no evidence: it can be lost, and then deliveries repeat.

mod letters;
mod queue;
mod secret;
mod settings;
mod turn;

pub use letters::Delivery;
pub use queue::{DeliveryState, NewMessage, Outcome, Settled, Sort, Waiting};
pub use secret::WebhookSecret;
pub use settings::{SecretOf, Webhook, WebhookChange, WebhookSettings, WebhookState};
pub use turn::WebhookTurn;
