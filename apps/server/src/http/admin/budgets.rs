//! `/admin/api/v1/budgets`: what tenants have used, why one is refused, and starting a budget over.
//!
//! A tenant is named by its id or by any part of it that only one has. Callers of the API are `api:user`: their budget is
//! the key's user's, whatever chats they name.

use super::super::{App, is_admin};
use super::{query, unauthorized};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use openclaw_ai_fabric::{BudgetDetails, OUTPUT_FLOOR};
use openclaw_core::{AccessTier, BotId, ChatId, Platform, TenantId, Timestamp, UserId};
use openclaw_gateway::Refusal;
use openclaw_gateway::ledger::{SpentBy, SpentQuery, SpentRow, day_of, payer_of};
use openclaw_gateway::ports::StoreError;
use openclaw_session::TenantKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Tenants that are looked through for a part of a name.
const MAX_LOOKED_THROUGH: usize = 200_000;
const PAGE: usize = 1_000;
/// Names that are told when a part fits several.
const MAX_NAMED: usize = 8;
/// Rows of a report.
const MAX_ROWS: usize = 1_000;
/// Rows of what a tenant's tokens were spent on.
const MAX_MODELS: usize = 20;
/// How far back a report goes when nobody says.
const REPORT_SINCE: Duration = Duration::from_secs(7 * 86_400);

/// A tenant whose budget is meant.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) tenant: TenantId,
    pub(crate) tier: AccessTier,
    /// The tenant's id; of a caller of the API, `api:user`.
    pub(crate) label: String,
    /// The budget it draws on.
    account: String,
}

/// `GET /admin/api/v1/budgets?by=tier|tenant|model|day&sinceMs=&tenant=`.
pub(crate) async fn report(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    answer(reported(&app, &uri).await)
}

/// `GET /admin/api/v1/budgets/{tenant}`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let shown = async {
        let target = find(&app, &name).await?;
        let details = details(&app, &target).await?;
        Ok(described(&target, &details))
    };
    answer(shown.await)
}

/// `GET /admin/api/v1/budgets/{tenant}/explain`.
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    answer(explained(&app, &name).await)
}

/// `POST /admin/api/v1/budgets/{tenant}/reset`.
pub(crate) async fn reset(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    // In a task of its own: a caller that goes away must not leave memory and store apart.
    let work = Arc::clone(&app);
    let done = tokio::spawn(async move {
        let target = find(&work, &name).await?;
        let before = details(&work, &target).await?;
        work.gateway
            .reset_budget(&target.account)
            .await
            .map_err(|refusal| unavailable(&refusal))?;
        tracing::info!(
            action = "budget.reset",
            account = target.account,
            used = before.usage.used,
            reserved = before.usage.reserved,
            "a budget was started over at an operator's word"
        );
        let after = details(&work, &target).await?;
        let mut answer = described(&target, &after);
        answer["usedBefore"] = before.usage.used.into();
        Ok(answer)
    });
    let done = done
        .await
        .unwrap_or_else(|_| Err(Problem::new("INTERNAL", "the budget was not started over")));
    answer(done)
}

fn answer(outcome: Result<Value, Problem>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn details(app: &App, target: &Target) -> Result<BudgetDetails, Problem> {
    app.gateway
        .budget_details(&target.account, target.tier)
        .await
        .map_err(|refusal| unavailable(&refusal))
}

fn described(target: &Target, details: &BudgetDetails) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "schema": 1,
        "tenant": target.label,
        "account": target.account,
        "tier": target.tier,
        "used": details.usage.used,
        "limit": details.usage.limit,
        "remaining": details.usage.remaining,
        "reserved": details.usage.reserved,
        "windowStartedAt": time(details.window_started_at),
        "resetsAt": time(details.usage.resets_at),
        "settled": details.settled,
        "outstanding": details.outstanding,
        "reservedSince": time(details.reserved_since),
    })
}

async fn explained(app: &App, name: &str) -> Result<Value, Problem> {
    let target = find(app, name).await?;
    let details = details(app, &target).await?;
    // What is settled and not stored yet belongs into the sums.
    app.gateway
        .flush_usage()
        .await
        .map_err(|refusal| unavailable(&refusal))?;
    let since = details.window_started_at.unwrap_or_else(|| app.clock.now());
    let payer = payer_of(&target.tenant);
    let spent = spent(app, SpentBy::Model, day_of(since), Some(payer), MAX_MODELS).await?;
    // A turn of this tenant costs what its turns have cost on the average; before the first one, the least there is.
    let calls: u64 = spent.iter().map(|row| row.sums.calls).sum();
    let tokens: u64 = spent.iter().map(|row| row.sums.tokens()).sum();
    let usual = tokens.checked_div(calls).unwrap_or(0).max(OUTPUT_FLOOR);
    let least = details.least_turn;
    let refused = details.usage.remaining.is_some_and(|left| left < least);
    let pool = app
        .facts
        .fabric
        .budget
        .free_usage()
        .filter(|_| target.tier == AccessTier::Free);
    let pool_refuses = pool.is_some_and(|pool| pool.remaining.is_some_and(|left| left < least));
    let mut answer = described(&target, &details);
    answer["usualTurn"] = usual.into();
    answer["leastTurn"] = least.into();
    answer["refused"] = (refused || pool_refuses).into();
    // A limit below what any turn needs never has room, however long one waits.
    let never_fits = details.usage.limit.is_some_and(|limit| limit < least);
    answer["neverFits"] = never_fits.into();
    answer["refusedBecause"] = if never_fits {
        "TokenBudgetExceededError: the tier's whole limit is less than that".into()
    } else if refused {
        "TokenBudgetExceededError: the tenant's own budget".into()
    } else if pool_refuses {
        "TokenBudgetExceededError: ai-fabric.budgets.freeTotal, which all free accounts share".into()
    } else {
        Value::Null
    };
    answer["freeTotal"] = json!(pool.map(|pool| json!({
        "used": pool.used,
        "limit": pool.limit,
        "remaining": pool.remaining,
        "resetsAt": pool.resets_at.map(|at| at.to_string()),
    })));
    answer["spentOn"] = json!(spent);
    Ok(answer)
}

async fn reported(app: &App, uri: &Uri) -> Result<Value, Problem> {
    let query = query(uri)?;
    let by = match query.get("by").map(String::as_str) {
        None | Some("tier") => SpentBy::Tier,
        Some("tenant") => SpentBy::Tenant,
        Some("model") => SpentBy::Model,
        Some("day") => SpentBy::Day,
        Some(_) => return Err(Problem::new("VALIDATION", "by is tier, tenant, model or day")),
    };
    let since = match query.get("sinceMs") {
        None => REPORT_SINCE,
        Some(text) => text
            .parse()
            .map(Duration::from_millis)
            .map_err(|_| Problem::new("VALIDATION", "sinceMs is a number of milliseconds"))?,
    };
    let target = match query.get("tenant").filter(|name| !name.is_empty()) {
        Some(name) => Some(find(app, name).await?),
        None => None,
    };
    app.gateway
        .flush_usage()
        .await
        .map_err(|refusal| unavailable(&refusal))?;
    let first = day_of(app.clock.now() - since);
    let payer = target.as_ref().map(|target| payer_of(&target.tenant));
    let rows = spent(app, by, first, payer, MAX_ROWS).await?;
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            let key = match by {
                SpentBy::Day => date(&row.key),
                SpentBy::Tenant | SpentBy::Tier | SpentBy::Model => row.key,
            };
            let mut value = json!(row.sums);
            value["key"] = key.into();
            value["cost"] = openclaw_ai_fabric::Cost::from_micros(row.sums.cost_micros)
                .to_string()
                .into();
            value
        })
        .collect();
    Ok(json!({
        "schema": 1,
        "by": by,
        "since": date(&first.to_string()),
        "tenant": target.map(|target| target.label),
        "rows": rows,
    }))
}

/// A day of the ledger as people write it.
fn date(day: &str) -> String {
    let millis = day.parse::<i64>().unwrap_or(0).saturating_mul(86_400_000);
    Timestamp::from_millis(millis)
        .to_string()
        .chars()
        .take(10)
        .collect()
}

async fn spent(
    app: &App,
    by: SpentBy,
    since_day: i64,
    payer: Option<String>,
    limit: usize,
) -> Result<Vec<SpentRow>, Problem> {
    let query = SpentQuery {
        by,
        since_day,
        payer,
        limit,
    };
    app.ledger.spent(query).await.map_err(|error| failed(&error))
}

/// The tenant of this id, or the only one whose id holds this text.
pub(crate) async fn find(app: &App, name: &str) -> Result<Target, Problem> {
    let mut found: BTreeMap<String, Target> = BTreeMap::new();
    for (platform, user, tier) in app.keys.users(app.clock.now()) {
        if platform != Platform::Api {
            continue;
        }
        let Some(target) = of_key(app, &user, tier) else {
            continue;
        };
        // A chat of theirs is theirs.
        let own_chat = name.starts_with(&format!("{}:", target.label));
        if target.label == name || own_chat {
            return Ok(target);
        }
        if target.label.contains(name) {
            found.insert(target.account.clone(), target);
        }
    }
    if let Ok(tenant) = TenantId::parse(name)
        && let Some(stored) = app
            .directory
            .find(&BotId::default(), &tenant)
            .await
            .map_err(|error| failed(&error))?
    {
        return Ok(target(app, stored.tenant.tenant_id, stored.tenant.tier));
    }
    let mut after: Option<TenantKey> = None;
    let mut looked = 0;
    while looked < MAX_LOOKED_THROUGH {
        let page = app
            .directory
            .list(None, after, PAGE)
            .await
            .map_err(|error| failed(&error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        looked += page.len();
        for stored in page {
            let id = stored.tenant.tenant_id.to_string();
            if id.contains(name) && found.len() <= MAX_NAMED {
                let target = target(app, stored.tenant.tenant_id, stored.tenant.tier);
                if id == name {
                    return Ok(target);
                }
                found.entry(target.account.clone()).or_insert(target);
            }
        }
    }
    let mut names: Vec<String> = found.values().map(|target| target.label.clone()).collect();
    match (found.pop_first(), found.is_empty()) {
        (Some((_, only)), true) => Ok(only),
        (Some(_), false) => {
            let more = names.len() > MAX_NAMED;
            names.truncate(MAX_NAMED);
            let list = names.join(", ") + if more { ", …" } else { "" };
            Err(Problem::new(
                "VALIDATION",
                format!("{name:?} fits several tenants: {list}"),
            ))
        }
        (None, _) => Err(Problem::new("NOT_FOUND", format!("there is no tenant {name:?}"))),
    }
}

fn target(app: &App, tenant: TenantId, tier: AccessTier) -> Target {
    Target {
        account: app.gateway.account_of(&tenant),
        label: payer_of(&tenant),
        tenant,
        tier,
    }
}

fn of_key(app: &App, user: &UserId, tier: AccessTier) -> Option<Target> {
    let chat = ChatId::parse(user.as_str()).ok()?;
    Some(target(
        app,
        TenantId::new(Platform::Api, user.clone(), chat),
        tier,
    ))
}

fn failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "the budgets could not be read");
    Problem::new(
        "STORE_UNAVAILABLE",
        "the store is not available; nothing was changed",
    )
}

fn unavailable(refusal: &Refusal) -> Problem {
    tracing::warn!(%refusal, "a budget could not be read or changed");
    Problem::new(
        "STORE_UNAVAILABLE",
        "the store is not available; nothing was changed",
    )
}
