//! What a communication is, and which way it went.

/// A word that is not one of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known word here")]
pub struct UnknownWord(pub String);

/// An enum whose variants are words: written the same in entries, rules and the API.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every word, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word as written in entries, rules and the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::record::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::record::UnknownWord> {
                match text { $($word => Ok(Self::$variant),)* other => Err($crate::record::UnknownWord(other.chars().take(64).collect())) }
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What kind of communication a rule recognised.
    Kind {
        /// A new item of one's own.
        Post = "post",
        /// An answer to an item.
        Reply = "reply",
        /// A comment under an item.
        Comment = "comment",
        /// A private message.
        Message = "message",
        /// A like, favourite, emoji.
        Reaction = "reaction",
        /// A repost, boost, quote without text.
        Share = "share",
        /// A change of an earlier item.
        Edit = "edit",
        /// A removal of an earlier item.
        Deletion = "deletion",
        /// A change of profile, biography, picture.
        ProfileChange = "profile_change",
        /// A follow, contact or connection request.
        ConnectionRequest = "connection_request",
        /// Media sent ahead of the item that will carry it.
        Upload = "upload",
        /// A vote in a poll.
        PollVote = "poll_vote",
        /// Hide, pin, block, mute.
        Moderation = "moderation",
        /// Has the shape of a write, but no rule knows it: kept raw.
        Unclassified = "unclassified",
    }
}

words! {
    /// Which way a communication went, seen from the advisor.
    Direction {
        /// Sent by the advisor.
        Outbound = "outbound",
        /// Received by the advisor.
        Inbound = "inbound",
    }
}
