//! Refusals: why something was not done, whose fault it is, and how the device is told.
//!
//! Invariant: an answer names what happened in the operator's and the advisor's words, and repeats nothing that the request carried
//! but the host it asked for.

mod page;

use http::StatusCode;

use crate::proxy::http::shape::Shape;
use crate::record::words;

pub(crate) use page::{Page, page};

words! {
    /// Why, in one word: the same in the answer, the metric and the log.
    Refuse {
        /// No credential came.
        NoCredential = "no_credential",
        /// No device has this credential.
        WrongCredential = "wrong_credential",
        /// The device was revoked while it was connected.
        DeviceRevoked = "device_revoked",
        /// Too many wrong credentials from this address.
        TooManyFailures = "too_many_failures",
        /// A credential may not travel in the clear from this network.
        CredentialInClear = "credential_in_clear",
        /// The directory of devices cannot be asked.
        DirectoryUnavailable = "directory_unavailable",
        /// It is not a request to a proxy.
        NotForProxy = "not_for_proxy",
        /// The target is no host and port.
        BadTarget = "bad_target",
        /// The port is not one that devices may name.
        ForbiddenPort = "forbidden_port",
        /// The address is private, local or reserved.
        ForbiddenAddress = "forbidden_address",
        /// The address is one of the service's own.
        OwnAddress = "own_address",
        /// The name has no address.
        NameNotResolved = "name_not_resolved",
        /// No connection to the origin.
        UpstreamUnreachable = "upstream_unreachable",
        /// The origin took too long.
        UpstreamTimeout = "upstream_timeout",
        /// The origin's certificate does not hold.
        UpstreamCertificate = "upstream_certificate",
        /// No TLS with the origin.
        UpstreamTls = "upstream_tls",
        /// The origin broke off, or answered what is not HTTP.
        UpstreamBroke = "upstream_broke",
        /// The parent proxy cannot be reached.
        ParentUnreachable = "parent_unreachable",
        /// The parent proxy refused.
        ParentRefused = "parent_refused",
        /// The request is malformed.
        Malformed = "malformed",
        /// The request names another host than the connection was opened to.
        Misdirected = "misdirected",
        /// Clear text after CONNECT.
        ClearText = "clear_text",
        /// Neither TLS nor HTTP after CONNECT.
        UnknownProtocol = "unknown_protocol",
        /// The ClientHello names another host than CONNECT did.
        NameMismatch = "name_mismatch",
        /// A pass-through tunnel was opened under another name to a host that is to be decrypted.
        HiddenName = "hidden_name",
        /// No certificate can be minted for this host.
        NoLeaf = "no_leaf",
        /// The write could not be kept, so it was not sent.
        NotKept = "not_kept",
        /// The write is larger than what can be kept.
        TooLarge = "too_large",
        /// The write cannot be read to its end, so it cannot be recorded.
        Undecodable = "undecodable",
        /// There is no room to hold the write.
        NoRoom = "no_room",
        /// The device stopped sending.
        DeviceStalled = "device_stalled",
        /// More connections than can be served.
        Overloaded = "overloaded",
        /// The service is being shut down.
        Stopping = "stopping",
    }
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The device's, or the person's who set it up.
    Device,
    /// The network's: the origin or the way to it.
    Network,
    /// Ours: the firm's recording proxy.
    Us,
}

impl Blame {
    /// `device`, `network`, `firm`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Network => "network",
            Self::Us => "firm",
        }
    }
}

impl Refuse {
    /// Whose fault it is.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::NoCredential
            | Self::WrongCredential
            | Self::DeviceRevoked
            | Self::TooManyFailures
            | Self::CredentialInClear
            | Self::NotForProxy
            | Self::BadTarget
            | Self::ForbiddenPort
            | Self::ForbiddenAddress
            | Self::OwnAddress
            | Self::Malformed
            | Self::Misdirected
            | Self::ClearText
            | Self::UnknownProtocol
            | Self::NameMismatch
            | Self::HiddenName
            | Self::TooLarge
            | Self::Undecodable
            | Self::DeviceStalled => Blame::Device,
            Self::NameNotResolved
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamCertificate
            | Self::UpstreamTls
            | Self::UpstreamBroke => Blame::Network,
            Self::DirectoryUnavailable
            | Self::ParentUnreachable
            | Self::ParentRefused
            | Self::NoLeaf
            | Self::NotKept
            | Self::NoRoom
            | Self::Overloaded
            | Self::Stopping => Blame::Us,
        }
    }

    /// The status that tells the device.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NoCredential | Self::WrongCredential => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::CredentialInClear
            | Self::DeviceRevoked
            | Self::ForbiddenPort
            | Self::ForbiddenAddress
            | Self::OwnAddress
            | Self::NameMismatch
            | Self::HiddenName => StatusCode::FORBIDDEN,
            Self::NotForProxy | Self::BadTarget | Self::Malformed | Self::ClearText | Self::UnknownProtocol => {
                StatusCode::BAD_REQUEST
            }
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Undecodable => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::DeviceStalled => StatusCode::REQUEST_TIMEOUT,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::NameNotResolved
            | Self::UpstreamUnreachable
            | Self::UpstreamCertificate
            | Self::UpstreamTls
            | Self::UpstreamBroke
            | Self::ParentUnreachable
            | Self::ParentRefused => StatusCode::BAD_GATEWAY,
            Self::DirectoryUnavailable | Self::NotKept | Self::Overloaded | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoLeaf => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// What happened, for the person at the device.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoCredential => "This proxy asks for the device's user name and password.",
            Self::WrongCredential => "The device's user name or password is wrong, or the device was revoked.",
            Self::DeviceRevoked => "This device was revoked by the firm. Nothing was sent.",
            Self::TooManyFailures => "There were too many wrong passwords from this address. Wait a minute.",
            Self::CredentialInClear => {
                "A password must not travel unencrypted on this network. Use the proxy's TLS address."
            }
            Self::DirectoryUnavailable => "The proxy cannot check devices at the moment.",
            Self::NotForProxy => "This is a forward proxy: set it as the proxy of your browser or app.",
            Self::BadTarget => "The target must be a host name and a port.",
            Self::ForbiddenPort => "The proxy does not connect to this port.",
            Self::ForbiddenAddress => "The proxy does not connect to private or local addresses.",
            Self::OwnAddress => "The proxy does not connect to itself.",
            Self::NameNotResolved => "The name of the site has no address.",
            Self::UpstreamUnreachable => "The site cannot be reached.",
            Self::UpstreamTimeout => "The site did not answer in time.",
            Self::UpstreamCertificate => "The site's certificate is not valid, so nothing was sent to it.",
            Self::UpstreamTls => "No secure connection to the site could be made.",
            Self::UpstreamBroke => "The site broke off the connection, or its answer made no sense.",
            Self::ParentUnreachable => "The firm's outer proxy cannot be reached.",
            Self::ParentRefused => "The firm's outer proxy refused the connection.",
            Self::Malformed => "The request is malformed.",
            Self::Misdirected => "The request names another site than the connection was opened to.",
            Self::ClearText => "The request came unencrypted on a connection that must be encrypted.",
            Self::UnknownProtocol => "This is neither TLS nor HTTP, which is all that is allowed to this site.",
            Self::NameMismatch => "The connection was opened to one site and then named another.",
            Self::HiddenName => "The connection names a recorded site under another target.",
            Self::NoLeaf => "The proxy has no valid certificate authority for this site.",
            Self::NotKept => "Your message could not be recorded, so it was not sent.",
            Self::TooLarge => "What you are sending is larger than what can be recorded, so it was not sent.",
            Self::Undecodable => {
                "What you are sending is compressed in a way that cannot be read, so it could not be recorded and was not sent."
            }
            Self::NoRoom => "There is no room to record what you are sending, so it was not sent.",
            Self::DeviceStalled => "The request did not arrive in time, so nothing was sent.",
            Self::Overloaded => "The proxy has too many connections.",
            Self::Stopping => "The proxy is being restarted.",
        }
    }

    /// RFC 9209 §2.3: the same for programs that read `Proxy-Status`.
    const fn proxy_status(self) -> &'static str {
        match self {
            Self::NameNotResolved => "dns_error",
            Self::UpstreamUnreachable | Self::ParentUnreachable => "destination_unavailable",
            Self::UpstreamTimeout => "connection_timeout",
            Self::UpstreamCertificate => "tls_certificate_error",
            Self::UpstreamTls => "tls_protocol_error",
            Self::UpstreamBroke => "http_response_incomplete",
            Self::ForbiddenPort | Self::ForbiddenAddress | Self::OwnAddress => "destination_ip_prohibited",
            Self::Malformed | Self::Misdirected | Self::ClearText | Self::NotForProxy | Self::BadTarget => {
                "http_request_error"
            }
            Self::TooLarge => "http_request_denied",
            Self::ParentRefused => "proxy_internal_response",
            Self::DirectoryUnavailable | Self::NoLeaf | Self::NotKept | Self::NoRoom | Self::Stopping => {
                "proxy_internal_error"
            }
            Self::Overloaded | Self::TooManyFailures => "connection_limit_reached",
            _ => "http_request_denied",
        }
    }

    /// Whether trying again in a while may help.
    const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::TooManyFailures
                | Self::DirectoryUnavailable
                | Self::NotKept
                | Self::NoRoom
                | Self::Overloaded
                | Self::Stopping
        )
    }
}

/// A refusal with what the operator may want to know beside the word.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
pub struct Refused {
    /// Why.
    pub why: Refuse,
    /// The cause in words, without content; goes to the log and, for the network's faults, to the device.
    pub detail: Option<String>,
    status: StatusCode,
}

impl Refused {
    pub(crate) const fn new(why: Refuse) -> Self {
        Self { why, detail: None, status: why.status() }
    }

    pub(crate) fn with(why: Refuse, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(why) }
    }

    pub(crate) fn because(why: Refuse, source: &dyn std::error::Error) -> Self {
        Self::with(why, source.to_string())
    }
}

impl From<Refuse> for Refused {
    fn from(why: Refuse) -> Self {
        Self::new(why)
    }
}

impl From<Shape> for Refused {
    fn from(shape: Shape) -> Self {
        Self { status: shape.status(), ..Self::with(Refuse::Malformed, shape.to_string()) }
    }
}
