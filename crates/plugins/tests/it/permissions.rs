//! Each permission: what it opens and what is closed without it.

use crate::support::{World, answers, manifest, received, sending};
use openclaw_core::{Language, MessageId, TenantId};
use openclaw_plugins::{
    HookContext, HookData, HookExecuted, HookName, HookResult, PermissionError, PermissionGuard,
    PluginGrants, PluginManifest, PluginPermission,
};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn tenant(text: &str) -> TenantId {
    text.parse().expect("a tenant")
}

fn guard(permissions: &[PluginPermission]) -> PermissionGuard {
    let mut manifest = manifest("x");
    manifest.permissions = permissions.iter().copied().collect();
    manifest.network_hosts = ["api.example.org".to_owned()].into();
    PermissionGuard::new(&manifest, &PluginGrants::all_of(&manifest))
}

/// One context of each hook that carries words.
fn wordy() -> Vec<HookContext> {
    let tenant = tenant("telegram:1:2");
    vec![
        received("word"),
        sending("word"),
        HookContext::OnAfterSend {
            tenant: tenant.clone(),
            text: "word".into(),
            message_id: MessageId::parse("7").expect("an id"),
        },
        HookContext::OnToolInvoked {
            tenant: tenant.clone(),
            call_id: "1".into(),
            tool: "read".into(),
            arguments: json!({"path": "word"}),
        },
        HookContext::OnToolCompleted {
            tenant,
            call_id: "1".into(),
            tool: "read".into(),
            output: "word".into(),
            is_error: false,
        },
    ]
}

/// What a plugin with these permissions is shown and what is left after it changed everything.
async fn shown_and_left(
    permissions: &[PluginPermission],
    context: HookContext,
) -> (HookContext, HookContext) {
    let world = World::new();
    let mut manifest = manifest("x").with_hook(context.hook(), 1);
    manifest.permissions = permissions.iter().copied().collect();
    let shown = Arc::new(Mutex::new(None));
    let note = Arc::clone(&shown);
    let code = answers(move |context| {
        *note.lock() = Some(context.clone());
        Ok(HookResult::changed(HookData {
            text: Some("changed".into()),
            arguments: Some(json!("changed")),
            output: Some("changed".into()),
        }))
    });
    world.run(manifest, code);
    world.published();
    let changed = world.dispatch(context).await.context;
    let executed = world.events::<HookExecuted>();
    assert!(
        executed.iter().all(|event| event.ignored.len() >= 2),
        "what was ignored is reported"
    );
    let shown = shown.lock().take().expect("it was asked");
    (shown, changed)
}

#[tokio::test]
async fn without_read_messages_a_plugin_sees_no_words_and_changes_none() {
    for context in wordy() {
        let all_but = PluginPermission::ALL.map(|permission| permission);
        let permissions: Vec<_> = all_but
            .into_iter()
            .filter(|permission| {
                !matches!(
                    permission,
                    PluginPermission::ReadMessages | PluginPermission::AccessNetwork
                )
            })
            .collect();
        let (shown, left) = shown_and_left(&permissions, context.clone()).await;
        assert!(!format!("{shown:?}").contains("word"), "{shown:?}");
        assert_eq!(shown.tenant(), context.tenant());
        assert_eq!(shown.hook(), context.hook());
        assert_eq!(left, context, "the message itself is whole");
    }
}

#[tokio::test]
async fn with_read_messages_alone_it_sees_all_words_and_changes_only_what_comes_in() {
    for context in wordy() {
        let (shown, left) = shown_and_left(&[PluginPermission::ReadMessages], context.clone()).await;
        assert_eq!(shown, context);
        if context.hook() == HookName::OnMessageReceived {
            assert_eq!(left, received("changed"));
        } else {
            assert_eq!(left, context, "{}", context.hook());
        }
    }
}

#[tokio::test]
async fn send_messages_opens_what_goes_out() {
    let permissions = [PluginPermission::ReadMessages, PluginPermission::SendMessages];
    for context in wordy() {
        let (_, left) = shown_and_left(&permissions, context.clone()).await;
        let changes = matches!(
            context.hook(),
            HookName::OnMessageReceived | HookName::OnBeforeSend
        );
        assert_eq!(left != context, changes, "{}", context.hook());
    }
}

#[tokio::test]
async fn execute_tools_opens_arguments_and_outputs() {
    let permissions = [PluginPermission::ReadMessages, PluginPermission::ExecuteTools];
    for context in wordy() {
        let (_, left) = shown_and_left(&permissions, context.clone()).await;
        match (&context, &left) {
            (HookContext::OnToolInvoked { .. }, HookContext::OnToolInvoked { arguments, .. }) => {
                assert_eq!(arguments, &json!("changed"));
            }
            (HookContext::OnToolCompleted { .. }, HookContext::OnToolCompleted { output, .. }) => {
                assert_eq!(output, "changed");
            }
            (HookContext::OnMessageReceived { .. }, left) => assert_eq!(left, &received("changed")),
            _ => assert_eq!(left, context),
        }
    }
}

#[test]
fn read_files_and_write_files_reach_the_tenant_at_hand_only() {
    let (anna, eve) = (tenant("telegram:4:4"), tenant("telegram:4:45"));
    for (permission, writing) in [
        (PluginPermission::ReadFiles, false),
        (PluginPermission::WriteFiles, true),
    ] {
        let guard = guard(&[permission]);
        assert_eq!(guard.check_files(&anna, &anna, writing), Ok(()));
        assert_eq!(
            guard.check_files(&anna, &eve, writing),
            Err(PermissionError::OtherTenant)
        );
        let other = if writing {
            PluginPermission::ReadFiles
        } else {
            PluginPermission::WriteFiles
        };
        let missing = Err(PermissionError::Missing { permission: other });
        assert_eq!(guard.check_files(&anna, &anna, !writing), missing);
    }
}

#[test]
fn access_network_reaches_listed_hosts_only() {
    let open = guard(&[PluginPermission::AccessNetwork]);
    for host in ["api.example.org", "API.Example.ORG", "api.example.org."] {
        assert_eq!(open.check_host(host), Ok(()), "{host}");
    }
    for host in [
        "example.org",
        "api.example.org.evil.org",
        "xapi.example.org",
        "",
        ".",
        "127.0.0.1",
    ] {
        assert!(
            matches!(open.check_host(host), Err(PermissionError::Host { .. })),
            "{host}"
        );
    }
    let permission = PluginPermission::AccessNetwork;
    assert_eq!(
        guard(&[]).check_host("api.example.org"),
        Err(PermissionError::Missing { permission })
    );
}

#[test]
fn a_host_that_the_operator_did_not_grant_is_closed() {
    let mut manifest = manifest("x").with_permission(PluginPermission::AccessNetwork);
    manifest.network_hosts = ["a.org".to_owned(), "b.org".to_owned()].into();
    let mut grants = PluginGrants::all_of(&manifest);
    grants.network_hosts.remove("b.org");
    let guard = PermissionGuard::new(&manifest, &grants);
    assert!(guard.check_host("a.org").is_ok());
    assert!(guard.check_host("b.org").is_err());
}

#[test]
fn a_plugin_that_changes_a_language_or_a_tenant_cannot_say_so() {
    let answer = json!({"modified": true, "data": {"text": "x", "language": "ru"}});
    assert!(serde_json::from_value::<HookResult>(answer).is_err());
    let context = received("x");
    let view = guard(&[PluginPermission::ReadMessages])
        .view(&context)
        .into_owned();
    assert!(matches!(
        view,
        HookContext::OnMessageReceived {
            language: Language::En,
            ..
        }
    ));
    assert_eq!(
        serde_json::to_value(view).expect("json")["text"],
        Value::from("x")
    );
}

fn permissions() -> impl Strategy<Value = BTreeSet<PluginPermission>> {
    prop::collection::btree_set(prop::sample::select(PluginPermission::ALL.to_vec()), 0..=6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A plugin may do what it asks for and was granted, and nothing else.
    #[test]
    fn never_more_than_asked_for_and_granted(asked in permissions(), granted in permissions()) {
        let manifest = PluginManifest { permissions: asked.clone(), ..manifest("x") };
        let grants = PluginGrants { permissions: granted.clone(), ..PluginGrants::default() };
        let guard = PermissionGuard::new(&manifest, &grants);
        for permission in PluginPermission::ALL {
            let expected = asked.contains(&permission) && granted.contains(&permission);
            prop_assert_eq!(guard.allows(permission), expected);
            prop_assert_eq!(guard.check(permission).is_ok(), expected);
        }
    }

    /// Whatever a plugin may change it may also see.
    #[test]
    fn nothing_unseen_is_changed(granted in permissions()) {
        let manifest = PluginManifest { permissions: granted, ..manifest("x") };
        let guard = PermissionGuard::new(&manifest, &PluginGrants::all_of(&manifest));
        for hook in HookName::ALL {
            prop_assert!(!guard.may_change(hook) || guard.allows(PluginPermission::ReadMessages));
        }
    }
}
