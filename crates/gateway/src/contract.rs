//! What every store must do, as tests. Each implementation calls [`store_contract!`] from its own `tests/`.
//!
//! The tests know a store only by its ports and by [`StoreUnderTest::crash`]. They are grouped as the ports are.
//!
//! [`store_contract!`]: crate::store_contract

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests; they run in the test binaries of the stores"
)]

mod fixture;

pub mod delivery;
pub mod directory;
pub mod feedback;
pub mod inbox;
pub mod ledger;
pub mod remembering;
pub mod turns;

pub use fixture::{
    DAY, HOUR, TTL, accept_one, answer, begin, begin_with, bot, close_as, commit, entry_from, lost,
    message_from, part, said, t, tenant_of,
};

use crate::ports::{FeedbackStore, KeyStore, MetaStore, TenantDirectory, TurnStore, UsageLedger};
use async_trait::async_trait;

/// All stores in one, as the server wires them.
pub trait Store: TurnStore + TenantDirectory + UsageLedger + KeyStore + MetaStore + FeedbackStore {}

impl<S: TurnStore + TenantDirectory + UsageLedger + KeyStore + MetaStore + FeedbackStore> Store for S {}

/// A store with whatever it lives in.
#[async_trait]
pub trait StoreUnderTest: Sized + Send + Sync {
    /// A new, empty one.
    async fn fresh() -> Self;

    /// The store.
    fn store(&self) -> &dyn Store;

    /// The store as a new process finds it after the old one vanished without a word.
    async fn crash(self) -> Self;
}

/// Makes a test of every rule, for one implementation of [`StoreUnderTest`](crate::contract::StoreUnderTest).
///
/// The calling crate needs tokio with `macros` and `rt`.
#[macro_export]
macro_rules! store_contract {
    ($under_test:ty) => {
        $crate::store_contract!(@ $under_test, inbox:
            a_message_is_accepted_once_however_often_it_comes,
            two_deliveries_in_one_call_give_one_entry,
            the_same_key_of_another_bot_or_platform_is_another_message,
            entries_grow_in_the_order_they_were_accepted,
            first_contact_makes_the_tenant_with_the_tier_asked_for,
            later_messages_touch_the_tenant_and_time_does_not_go_back,
            an_entry_is_closed_once,
            a_closed_entry_is_still_recognised_and_its_text_is_gone,
            a_key_stands_for_its_message_only_so_long,
            what_a_message_repeats_is_known_without_taking_it,
            open_entries_are_listed_oldest_first_in_pages,
            depths_count_what_is_open_and_pending,
        );
        $crate::store_contract!(@ $under_test, turns:
            a_turn_counts_its_attempt_and_opens_the_session,
            a_closed_or_unknown_entry_begins_no_turn,
            a_suspended_tenant_begins_no_turn,
            fences_grow_with_every_turn_of_a_tenant,
            an_older_turn_changes_nothing,
            an_ended_turn_changes_nothing_more,
            a_fence_is_good_for_its_own_entry_only,
            a_released_turn_is_not_counted_and_can_begin_again,
            a_crashed_turn_stays_counted_until_there_were_too_many,
            a_crash_settles_reservations_at_the_input_estimate,
            a_crash_is_charged_to_the_window_of_its_reservation,
            a_crash_is_charged_to_the_shared_budget_too,
            a_crash_keeps_fences_growing,
            a_crash_keeps_what_was_shown,
            a_turn_that_is_taken_over_is_charged_its_estimate,
            a_released_turn_is_charged_nothing,
            a_committed_turn_is_charged_what_it_cost_and_nothing_after_a_crash,
            closing_takes_the_right_from_a_turn_left_running,
            a_session_goes_to_processing_and_back_to_active,
            a_session_past_its_time_is_followed_by_the_next_generation,
            generations_survive_the_deletion_of_sessions,
            suspending_ends_the_session_for_good,
            every_call_after_the_end_is_unavailable,
        );
        $crate::store_contract!(@ $under_test, remembering:
            history_grows_in_order_and_is_read_newest_first_within_limits,
            history_gives_at_least_the_newest_message,
            starting_over_hides_what_was_said,
            starting_over_during_a_turn_hides_its_answer_too,
            histories_of_tenants_are_apart,
            a_newer_window_replaces_and_an_older_adds_nothing,
            sums_of_usage_saturate,
            what_has_no_answer_is_there_to_be_read_only,
            a_conversation_is_in_the_order_of_acceptance,
            what_is_said_outside_a_turn_belongs_to_the_session_to_come,
            a_conversation_keeps_its_newest_messages,
            old_messages_are_swept,
        );
        $crate::store_contract!(@ $under_test, ledger:
            what_was_spent_is_added_up_by_tenant_tier_model_and_day,
            a_turn_is_written_into_the_ledger_with_its_end,
            a_turn_that_a_crash_cuts_is_in_the_ledger,
            a_turn_without_an_end_is_in_the_ledger_as_often_as_it_is_charged,
            a_deleted_tenants_sums_stay_without_its_name,
            old_days_of_the_ledger_are_swept,
            usage_of_windows_long_over_is_swept,
            a_budget_started_over_takes_nothing_more_of_what_is_over,
        );
        $crate::store_contract!(@ $under_test, delivery:
            the_outbox_is_written_with_the_end_of_the_turn,
            parts_wait_in_order_until_delivered,
            a_retry_is_counted_and_ambiguity_too,
            a_part_given_up_is_gone,
            a_part_that_is_gone_is_left_alone,
            the_outbox_survives_a_crash,
            closed_entries_are_swept_after_their_time_and_not_before_delivery,
            sessions_past_their_time_are_swept_in_batches,
            chats_that_were_never_written_in_are_swept,
            visitors_chats_of_which_nothing_is_kept_are_swept,
            a_visitors_chat_stays_while_anything_of_it_is_kept,
        );
        $crate::store_contract!(@ $under_test, feedback:
            of_one_answer_the_latest_opinion_is_kept,
            feedback_goes_with_its_tenant,
            old_feedback_is_swept,
        );
        $crate::store_contract!(@ $under_test, directory:
            a_tenant_is_created_once_per_address,
            an_update_needs_the_stored_version,
            an_update_of_an_absent_tenant_is_not_found,
            activity_is_no_change_of_version_and_is_not_lost,
            a_tenant_that_moves_keeps_its_key,
            an_address_that_is_taken_is_refused,
            tenants_are_listed_in_pages_and_by_person,
            deleting_a_tenant_removes_everything_of_it_and_nothing_else,
            keys_are_listed_oldest_first_and_replaced_by_hash,
            a_key_is_revoked_once,
            keys_are_swept_long_after_their_end,
            a_remembered_value_is_the_last_one,
        );
    };
    (@ $under_test:ty, $group:ident: $($rule:ident,)+) => {
        mod $group {
            $(
                #[tokio::test]
                async fn $rule() {
                    $crate::contract::$group::$rule::<$under_test>().await;
                }
            )+
        }
    };
}
