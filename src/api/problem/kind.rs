//! The sorts of problems. Their names are stable: a client may match on them.

use axum::http::StatusCode;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal, $about:literal;)*) => {
        /// What sort of problem it is: the last segment of its `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $variant,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The last segment of `type`. Stable: a client may match on it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            pub(super) const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

kinds! {
    /// No token, or one nobody has.
    NotAuthenticated = "not-authenticated", UNAUTHORIZED, "A valid token is needed",
        "Send `Authorization: Bearer <token>` with the token that `muniment officer add` printed.";
    /// The officer was revoked.
    TokenRevoked = "token-revoked", UNAUTHORIZED, "This token was revoked",
        "The officer's access has ended. An administrator can add the officer again, which gives a new token.";
    /// The token has ended.
    TokenExpired = "token-expired", UNAUTHORIZED, "This token has expired",
        "Tokens end by themselves: `detail` says when this one did. An administrator can add the officer again, which gives a new token.";
    /// A token over a plain connection from afar.
    PlainConnection = "plain-connection", FORBIDDEN, "A token may not travel over this connection",
        "Plain HTTP is for this machine and the networks in `api.plain_networks`. Set `api.tls` to serve others.";
    /// The officer lacks the role.
    RoleMissing = "role-missing", FORBIDDEN, "Your roles do not allow this",
        "`permission` names what is needed and `roles` who has it.";
    /// The token does not reach it.
    OutOfScope = "out-of-scope", FORBIDDEN, "This token does not reach that",
        "Your roles would allow it, but the token was given for some operations, or some advisors, only. `detail` says which limit was met.";
    /// Content was asked for without saying why.
    PurposeRequired = "purpose-required", BAD_REQUEST, "Say why you look",
        "Reading content needs the header `Muniment-Purpose` with 3 to 500 characters. It becomes part of the ledger, sealed.";
    /// A parameter cannot be meant.
    ParameterInvalid = "parameter-invalid", BAD_REQUEST, "A parameter is not valid",
        "`parameter` names it (`query` where it is not known) and `detail` says what would be right. The document at /openapi.json has all of them.";
    /// There is no such thing.
    NotFound = "not-found", NOT_FOUND, "There is no such thing here",
        "The address or the id is wrong. The document at /openapi.json has all addresses.";
    /// The path is right, the method is not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "This address does not take that method",
        "The header `Allow` says which it takes.";
    /// It was kept, and retention has ended.
    Disposed = "disposed", GONE, "The content was disposed of",
        "Retention ended and no hold applied. The commitment remains; `disposal` names the entry that says so.";
    /// A range that begins where the value has ended.
    RangeNotSatisfiable = "range-not-satisfiable", RANGE_NOT_SATISFIABLE, "The range lies outside",
        "`size` says how many bytes there are; the header `Content-Range` says it too. Ask for a range that begins before that.";
    /// It was kept, and what is kept now is not what the ledger commits to.
    Unreadable = "unreadable", INTERNAL_SERVER_ERROR, "The content cannot be read any more",
        "What is stored is missing or is not what the ledger commits to, so it is not shown. `muniment verify` names everything \
that is wrong; a backup may still have it.";
    /// Sequenced, but no checkpoint covers it yet.
    NotPublished = "not-published", CONFLICT, "No checkpoint covers this yet",
        "Checkpoints are published every second while there is something new. Try again after `Retry-After` seconds.";
    /// `as_of` names a size that was never signed.
    NoSuchCheckpoint = "no-such-checkpoint", NOT_FOUND, "No checkpoint of this size was published",
        "`as_of` takes the size of a published checkpoint, so that what the answer covers can be proved. /v1/checkpoints lists them.";
    /// None of what there is would be accepted.
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "There is nothing here that you accept",
        "The header `Accept` leaves nothing: `detail` says what there is. Nobody has looked at anything.";
    /// One token, or one address, asks too often.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "You ask too often",
        "Come back after `Retry-After` seconds. `api.rate_per_token` and `api.rate_per_address` set how often is too often.";
    /// The officer follows events in more places than are served.
    TooManyStreams = "too-many-streams", TOO_MANY_REQUESTS, "Too many event streams are open",
        "End one that is open, or try again after `Retry-After` seconds: one that was left is noticed within seconds.";
    /// The body is not JSON.
    MediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is of another kind",
        "Send JSON, with `Content-Type: application/json`.";
    /// The body is larger than any that can be meant.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large", "`detail` says how large it may be.";
    /// The thing has changed since it was read.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It has changed since you read it",
        "`If-Match` names another state than the present one. Read it again, and decide again. Nothing was changed.";
    /// There are as many webhooks as there may be.
    TooManyWebhooks = "too-many-webhooks", CONFLICT, "There are as many webhooks as there may be",
        "Remove one that is not needed. Several receivers can stand behind one webhook of yours.";
    /// It delivers nothing.
    WebhookDisabled = "webhook-disabled", CONFLICT, "The webhook is disabled",
        "A disabled webhook sends nothing, tests included. Enable it first: `PATCH` with `{\"state\": \"enabled\"}`.";
    /// The matter is over.
    MatterClosed = "matter-closed", CONFLICT, "The matter is closed",
        "Nothing is added to a closed matter. Open it again first: `PATCH` with `{\"state\": \"open\"}`.";
    /// The matter is not over.
    HoldsInForce = "holds-in-force", CONFLICT, "The matter has holds in force",
        "They would be in force for nothing. `/v1/holds?matter=…` lists them: release each with its reason, then close the matter.";
    /// The hold is over.
    HoldReleased = "hold-released", CONFLICT, "The hold was released",
        "A hold that was released does not come back. Where something has to be held again, place another one.";
    /// A key was used for something else.
    KeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "This idempotency key was used for something else",
        "The same `Idempotency-Key` came with another body or address before. Use a fresh key for each thing to be done.";
    /// A request with the same key is being answered.
    KeyInFlight = "idempotency-key-in-flight", CONFLICT, "A request with this idempotency key is being answered",
        "Ask again after `Retry-After` seconds: then its answer is yours too.";
    /// More is asked at once than is served.
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much is asked at once", "Try again after `Retry-After` seconds.";
    /// The archive does not answer.
    ArchiveUnavailable = "archive-unavailable", SERVICE_UNAVAILABLE, "The archive does not answer",
        "Nothing can be read, and nothing was. Try again after `Retry-After` seconds.";
    /// It took too long.
    TimedOut = "timed-out", SERVICE_UNAVAILABLE, "This took too long",
        "Nothing was shown. Ask for less, or try again after `Retry-After` seconds.";
    /// Ours.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something is wrong on our side",
        "The log has the cause under the id in `instance`.";
}

impl ProblemKind {
    /// Whether any request may meet it; `open` is a route that needs no token.
    pub(in crate::api) const fn is_common(self, open: bool) -> bool {
        match self {
            Self::ParameterInvalid | Self::NotAcceptable | Self::Internal | Self::TimedOut => true,
            Self::NotAuthenticated | Self::TokenRevoked | Self::TokenExpired => !open,
            Self::PlainConnection | Self::RoleMissing | Self::OutOfScope => !open,
            Self::Busy | Self::ArchiveUnavailable | Self::RateLimited => !open,
            _ => false,
        }
    }

    /// Whether it goes away by itself, so that `Retry-After` makes sense.
    pub(super) const fn passes(self) -> bool {
        use ProblemKind::{ArchiveUnavailable, Busy, KeyInFlight, NotPublished, RateLimited, TimedOut, TooManyStreams};
        matches!(self, Busy | ArchiveUnavailable | TimedOut | NotPublished | RateLimited | TooManyStreams | KeyInFlight)
    }
}
