//! Temporary.
use openclaw_core::{ChatMessage, Event};
use serde::Serialize;
macro_rules! ev { ($n:ident, $name:literal, $t:ty) => {
#[derive(Debug, Serialize)] pub struct $n; impl Event for $n { const NAME: &'static str = $name; }
impl $n { pub fn of(_: &$t) -> Self { Self } } } }
ev!(SessionCreated, "session.created", openclaw_session::TenantSession);
ev!(SessionActivated, "session.activated", openclaw_session::TenantSession);
ev!(SessionExpired, "session.expired", openclaw_session::TenantSession);
ev!(TenantCreated, "tenant.created", openclaw_session::UserTenant);
pub fn trim_history(m: Vec<ChatMessage>, _: u64, _: impl Fn(&ChatMessage) -> u64) -> Vec<ChatMessage> { m }
