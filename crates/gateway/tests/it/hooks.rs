//! Plugins on the path of a message.

use crate::world::World;
use async_trait::async_trait;
use openclaw_ai_fabric::{AnswerForm, ChatRequest};
use openclaw_core::{AccessTier, ChatMessage, Language, PluginId, Role};
use openclaw_gateway::CompletionRequest;
use openclaw_plugins::{
    Cancel, HookContext, HookError, HookHandler, HookName, HookResult, PluginManifest, PluginPackage,
    PluginPermission, PluginSetup,
};
use semver::Version;
use std::sync::Arc;

/// Answers hooks with a closure.
struct Code<F>(F);

impl<F> std::fmt::Debug for Code<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

#[async_trait]
impl<F: Fn(&HookContext) -> HookResult + Send + Sync> HookHandler for Code<F> {
    async fn call(&self, context: &HookContext) -> Result<HookResult, HookError> {
        Ok((self.0)(context))
    }
}

pub(crate) fn plug(
    world: &World,
    hook: HookName,
    answer: impl Fn(&HookContext) -> HookResult + Send + Sync + 'static,
) -> PluginId {
    plug_as(world, "test", hook, answer)
}

/// The same under a name of its own, where there are several.
pub(crate) fn plug_as(
    world: &World,
    name: &str,
    hook: HookName,
    answer: impl Fn(&HookContext) -> HookResult + Send + Sync + 'static,
) -> PluginId {
    let id = PluginId::parse(name.to_ascii_lowercase()).unwrap();
    let manifest = PluginManifest::new(id.clone(), Version::new(1, 0, 0), "test")
        .with_hook(hook, 0)
        .with_permission(PluginPermission::ReadMessages)
        .with_permission(PluginPermission::SendMessages);
    world
        .plugins
        .register(PluginPackage::compiled_in(manifest.clone()))
        .unwrap();
    world
        .plugins
        .install(&id, PluginSetup::granting_all(&manifest))
        .unwrap();
    world.plugins.activate(&id, Arc::new(Code(answer))).unwrap();
    id
}

#[tokio::test]
async fn a_plugin_changes_what_the_model_is_asked() {
    let world = World::new().await;
    plug(&world, HookName::OnMessageReceived, |context| {
        HookResult::text(context.text().unwrap_or_default().replace("secret", "[removed]"))
    });
    world.say("1", "my secret word").await;
    world.messenger.shows("1", &["echo: my [removed] word"]).await;
    let asked = world.model.asked.lock()[0].messages[0].joined_text();
    assert_eq!(asked, "my [removed] word", "the model never saw it");
}

#[tokio::test]
async fn a_plugin_cancels_a_message_with_words_of_its_own() {
    let world = World::new().await;
    plug(&world, HookName::OnMessageReceived, |_| HookResult {
        cancel: Some(Cancel {
            reason: Some("not today".into()),
        }),
        ..HookResult::default()
    });
    world.say("1", "hello").await;
    world.messenger.shows("1", &["not today"]).await;
    assert!(world.model.asked.lock().is_empty(), "no model was asked");
}

#[tokio::test]
async fn a_plugin_sees_every_text_before_it_is_visible() {
    let world = World::new().await;
    plug(&world, HookName::OnBeforeSend, |context| {
        HookResult::text(context.text().unwrap_or_default().replace("echo", "answer"))
    });
    world.say("1", "hello").await;
    world.messenger.shows("1", &["answer: hello"]).await;
}

#[tokio::test]
async fn the_hooks_of_a_disabled_plugin_do_not_run() {
    let world = World::new().await;
    let id = plug(&world, HookName::OnMessageReceived, |_| {
        HookResult::text("changed")
    });
    world.say("1", "one").await;
    world.messenger.shows("1", &["echo: changed"]).await;
    world.plugins.disable(&id).unwrap();
    world.say("1", "two").await;
    world.messenger.shows("1", &["echo: changed", "echo: two"]).await;
}

#[tokio::test]
async fn a_call_in_one_piece_only_waits_where_no_plugin_looks_at_it_and_nothing_else_is_said_to() {
    let world = World::new().await;
    let call = async |form| {
        let mut answer = world
            .gateway
            .complete(CompletionRequest {
                tenant: "api:alice:default".parse().unwrap(),
                tier: AccessTier::Standard,
                model: None,
                chat: ChatRequest {
                    form,
                    ..ChatRequest::new(vec![ChatMessage::text(Role::User, "hello")], 100)
                },
                correlation_id: world.gateway.correlation_id(),
                language: Language::En,
            })
            .unwrap();
        while answer.next().await.is_some() {}
    };
    call(AnswerForm::Whole).await;
    call(AnswerForm::Streamed).await;
    world.say("1", "hello").await;
    world.messenger.shows("1", &["echo: hello"]).await;
    assert_eq!(*world.only_waited.lock(), [true, false, false]);
    for hook in [HookName::OnMessageReceived, HookName::OnBeforeSend] {
        let id = plug(&world, hook, |_| HookResult::default());
        call(AnswerForm::Whole).await;
        assert_eq!(world.only_waited.lock().pop(), Some(false), "{hook}");
        world.plugins.unregister(&id).unwrap();
    }
}
