//! Tokens: what an agent shows over HTTP instead of a key.
//!
//! Invariant: a token only says which agent and which token id it is. Whether that id still stands, and what it is good
//! for, is in the ledger. One algorithm, one key: nothing in a token chooses how it is checked.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use notes_schema::{AgentName, Sha256};
use serde::{Deserialize, Serialize};

/// Longest token that is looked at, in bytes.
/// Limit: a token that somebody shows | {:bytes}
const LONGEST: usize = 2048;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The agent.
    pub sub: AgentName,
    /// The token's public id.
    pub jti: String,
    /// When it was issued, seconds since 1970.
    pub iat: u64,
    /// When it ends, seconds since 1970.
    pub exp: u64,
    /// The forge it is for: the id of `forge.git`'s first ledger commit, in hexadecimal digits.
    pub aud: String,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that this forge signed.
    #[error("this forge did not issue it")]
    Foreign,
    /// It has ended.
    #[error("it expired")]
    Expired,
}

/// Signs and checks tokens of one forge.
pub struct Tokens {
    sign: EncodingKey,
    check: DecodingKey,
    audience: String,
}

impl Tokens {
    /// With the secret from `secrets/token.key`, for the forge named `audience` (its id in hexadecimal digits).
    pub fn new(secret: &[u8; 32], audience: impl Into<String>) -> Tokens {
        Tokens {
            sign: EncodingKey::from_secret(secret),
            check: DecodingKey::from_secret(secret),
            audience: audience.into(),
        }
    }

    /// A token for `agent` under the public id `id`, good from `now` to `expires` (seconds since 1970).
    pub fn issue(&self, agent: &AgentName, id: &str, now: u64, expires: u64) -> String {
        let claims =
            Claims { sub: agent.clone(), jti: id.to_owned(), iat: now, exp: expires, aud: self.audience.clone() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("invariant: HS256 over text and integers cannot fail")
    }

    /// What a token says, when this forge signed it and it has not ended at `now` (seconds since 1970).
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Foreign);
        }
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The clock is the caller's, so that tests and replays do not depend on the machine's.
        rules.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.check, &rules).map_err(|_| TokenError::Foreign)?.claims;
        if now >= claims.exp { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

/// The digest of a token that the ledger keeps.
pub fn digest(token: &str) -> Sha256 {
    Sha256::of(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32], "ab12")
    }

    fn alpha() -> AgentName {
        "alpha".parse().unwrap()
    }

    #[test]
    fn a_token_says_what_it_was_issued_for_until_it_ends() {
        let token = tokens().issue(&alpha(), "t1", 100, 200);
        let claims = tokens().verify(&token, 199).unwrap();
        assert_eq!((claims.sub, claims.jti.as_str()), (alpha(), "t1"));
        assert_eq!(tokens().verify(&token, 200), Err(TokenError::Expired));
    }

    #[test]
    fn another_forge_key_or_algorithm_is_foreign() {
        let token = tokens().issue(&alpha(), "t1", 100, 200);
        assert_eq!(Tokens::new(&[8; 32], "ab12").verify(&token, 150), Err(TokenError::Foreign));
        assert_eq!(Tokens::new(&[7; 32], "cd34").verify(&token, 150), Err(TokenError::Foreign));
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let body = token.split('.').nth(1).unwrap();
        for forged in [format!("{none}.{body}."), format!("{none}.{body}"), "x".repeat(5000), String::new()] {
            assert_eq!(tokens().verify(&forged, 150), Err(TokenError::Foreign), "{forged}");
        }
        let hs512 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &tokens().verify(&token, 150).unwrap(),
            &EncodingKey::from_secret(&[7; 32]),
        );
        assert_eq!(tokens().verify(&hs512.unwrap(), 150), Err(TokenError::Foreign));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let token = tokens().issue(&alpha(), "t1", 100, 200);
        for at in 0..token.len() - 1 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != token {
                assert!(tokens().verify(&changed, 150).is_err(), "{at}");
            }
        }
    }
}
