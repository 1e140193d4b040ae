//! Tenants and sessions from outside.

mod sessions;
mod tenants;
