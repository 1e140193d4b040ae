//! What becomes of a request when a provider fails: the fallback chain over the real adapters, against every fault the
//! mock provider knows, in every wire format.
//!
//! Time is moved by hand, so that what is seen does not depend on the machine. `docs/provider-faults.md` is what was
//! seen: the test compares it, and with `UPDATE_DOCS=1` writes it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod catalogue;
mod drive;
mod ends;
mod formats;
mod page;
mod table;
mod tls;
