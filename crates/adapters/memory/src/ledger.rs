//! What calls of models have cost.

use crate::MemoryStore;
use crate::state::State;
use async_trait::async_trait;
use openclaw_core::{TenantId, Timestamp};
use openclaw_gateway::ledger::{
    FORGOTTEN_PAYER, LEDGER_DAYS, Spent, SpentQuery, SpentRow, SpentSums, day_of,
};
use openclaw_gateway::ports::{StoreError, UsageLedger};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[async_trait]
impl UsageLedger for MemoryStore {
    async fn spent(&self, query: SpentQuery) -> Result<Vec<SpentRow>, StoreError> {
        let state = self.open_state()?;
        let mut sums: BTreeMap<String, SpentSums> = BTreeMap::new();
        let asked = state.ledger.iter().filter(|spent| {
            let payer = query.payer.as_ref();
            spent.day >= query.since_day && payer.is_none_or(|payer| *payer == spent.payer)
        });
        for spent in asked {
            sums.entry(spent.key(query.by)).or_default().add(&spent.sums);
        }
        let mut rows: Vec<SpentRow> = sums
            .into_iter()
            .map(|(key, sums)| SpentRow { key, sums })
            .collect();
        // The sort is stable: equal ones stay in the order of their keys.
        rows.sort_by_key(|row| Reverse(row.sums.tokens()));
        rows.truncate(query.limit);
        Ok(rows)
    }
}

impl State {
    pub(crate) fn add_spent(&mut self, spent: &Spent) {
        match self.ledger.iter_mut().find(|row| row.is_same_row(spent)) {
            Some(row) => row.sums.add(&spent.sums),
            None => self.ledger.push(spent.clone()),
        }
    }

    /// Keeps a deleted tenant's sums without its name.
    pub(crate) fn forget_payer(&mut self, tenant: &TenantId) {
        let payer = tenant.to_string();
        let own: Vec<Spent> = self.ledger.extract_if(.., |row| row.payer == payer).collect();
        for row in own {
            self.add_spent(&Spent {
                payer: FORGOTTEN_PAYER.to_owned(),
                ..row
            });
        }
    }

    pub(crate) fn sweep_ledger(&mut self, now: Timestamp) {
        let oldest = day_of(now).saturating_sub(LEDGER_DAYS);
        self.ledger.retain(|row| row.day >= oldest);
    }
}
