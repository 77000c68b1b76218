//! Who asks: the token, the connection it came over, and the stated purpose.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::header::single;
use super::problem::{Problem, ProblemKind};
use super::serve::Arrival;
use super::state::{Api, Asked};
use crate::access::{Admission, Officer, Operation, Permission, Purpose, Seen, Token};
use crate::record::OfficerId;
use crate::settings::{Cidr, is_trusted_plain};

/// The header that says why somebody looks.
const PURPOSE: &str = "Muniment-Purpose";

/// An officer whose token was shown, with the purpose stated.
pub(super) struct Caller {
    token: Token,
    officer: Officer,
    purpose: Option<Purpose>,
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let token = single(&parts.headers, "Authorization")?.and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.ok_or_else(|| Problem::new(ProblemKind::NotAuthenticated))?;
        // Said before the token is looked at, so that its validity is not told over a wire anybody can read.
        let arrival = parts.extensions.get::<Arrival>().copied().ok_or_else(|| Problem::new(ProblemKind::Internal))?;
        may_carry_a_token(arrival, &api.plain_networks)?;
        let token = Token::read(token).ok_or_else(|| Problem::new(ProblemKind::NotAuthenticated))?;
        let officer = api.officer(&token).await?;
        if let Some(asked) = parts.extensions.get::<Asked>() {
            // Set twice only if a handler asked twice: the same answer.
            let _same = asked.0.set(officer.id);
        }
        api.rates.token(officer.id)?;
        let purpose = single(&parts.headers, PURPOSE)?.map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
            Purpose::new(text).map_err(|error| Problem::parameter(PURPOSE, error.to_string()))
        });
        Ok(Self { token, officer, purpose: purpose.transpose()? })
    }
}

/// Whether a token may travel the way the request came.
fn may_carry_a_token(arrival: Arrival, plain_networks: &[Cidr]) -> Result<(), Problem> {
    if arrival.tls || is_trusted_plain(arrival.peer.ip(), plain_networks) {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::PlainConnection))
}

impl Caller {
    /// May this caller do it? A refusal is on record before it is answered.
    pub(super) async fn admit(&self, api: &Api, operation: Operation, asked: &Seen) -> Result<Admission, Problem> {
        let admission = api.desk.admit(&self.officer, operation, self.purpose.clone(), asked).await?;
        api.within_scope(admission, asked).await
    }

    /// Whether the officer, and the token, may do something that is going to be done on their behalf.
    pub(super) fn vouches(&self, operation: Operation) -> Result<(), Problem> {
        if !self.officer.holds(operation.permission()) {
            return Err(Problem::role_missing(operation.permission()));
        }
        if !self.officer.may(operation) {
            let detail = format!("the token was not given for {}", operation.as_str());
            return Err(Problem::new(ProblemKind::OutOfScope).detail(detail));
        }
        Ok(())
    }

    /// Who it is.
    pub(super) const fn officer(&self) -> OfficerId {
        self.officer.id
    }

    /// For what takes long: does the token still let its officer in, in a role that may do it?
    pub(super) async fn ask_again(&mut self, api: &Api, operation: Operation) -> Result<(), Problem> {
        let officer = api.officer(&self.token).await?;
        if !officer.may(operation) {
            return Err(Problem::role_missing(operation.permission()));
        }
        self.officer = officer;
        Ok(())
    }

    /// For what says nothing about anybody, and so is not written down: the permission alone.
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        if !self.officer.holds(permission) {
            return Err(Problem::role_missing(permission));
        }
        if !self.officer.scope.reaches_all(permission) {
            let detail = format!("the token was not given for {}", permission.as_str());
            return Err(Problem::new(ProblemKind::OutOfScope).detail(detail));
        }
        Ok(())
    }

    /// Whether one of the roles has it, and the token reaches it.
    pub(super) fn has(&self, permission: Permission) -> bool {
        self.require(permission).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_in_the_clear_on_this_machine_and_trusted_networks_only() {
        let networks: Vec<Cidr> = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, trusted) in [
            ("127.0.0.1:9", true),
            ("127.9.9.9:9", true),
            ("[::1]:9", true),
            ("10.1.255.1:9", true),
            ("[fd12::1]:9", true),
            ("[::ffff:10.1.2.3]:9", true),
            ("10.2.0.1:9", false),
            ("192.0.2.1:9", false),
            ("[2001:db8::1]:9", false),
            ("[::ffff:192.0.2.1]:9", false),
        ] {
            let peer = peer.parse().unwrap();
            assert!(may_carry_a_token(Arrival { peer, tls: true }, &networks).is_ok(), "{peer}");
            let plain = may_carry_a_token(Arrival { peer, tls: false }, &networks);
            assert_eq!(plain.is_ok(), trusted, "{peer}");
            assert!(plain.err().is_none_or(|problem| problem.kind() == ProblemKind::PlainConnection));
        }
    }
}
