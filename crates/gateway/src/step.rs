//! One model call of a turn, gathered from its events.

use openclaw_ai_fabric::{RouteError, RoutedEvent};
use openclaw_core::{ChatMessage, ContentBlock, ModelEvent, ModelId, Role, StopReason, TokenUsage};

/// A tool the model calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text; an empty object when the model sent none.
    pub(crate) arguments: String,
}

/// What one model call has said so far.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) stop: Option<StopReason>,
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) model: Option<ModelId>,
}

/// What the reply must do about an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Append this text.
    Text(String),
    /// What was shown of this step is void.
    Void,
    /// Nothing.
    None,
}

/// How following a stream ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The model has said everything.
    Complete,
    /// The person asked to stop.
    Stopped,
    /// No model answered.
    Failed(RouteError),
    /// Another turn has taken over: nothing more may be shown or stored.
    Superseded,
}

// === impl Step ===

impl Step {
    /// Takes in an event.
    pub(crate) fn take(&mut self, event: RoutedEvent) -> Change {
        match event {
            RoutedEvent::Began { model, .. } => {
                self.model = Some(model);
                Change::None
            }
            RoutedEvent::Restarted { to, .. } => {
                let had_text = !self.text.is_empty();
                *self = Self {
                    model: Some(to),
                    ..Self::default()
                };
                if had_text { Change::Void } else { Change::None }
            }
            RoutedEvent::Event(event) => self.take_event(event),
        }
    }

    fn take_event(&mut self, event: ModelEvent) -> Change {
        match event {
            ModelEvent::TextDelta(text) => {
                self.text.push_str(&text);
                Change::Text(text)
            }
            ModelEvent::ToolUseStart { index, id, name } => {
                let call = self.call(index);
                call.id = id;
                call.name = name;
                Change::None
            }
            ModelEvent::ToolArgumentsDelta { index, delta } => {
                self.call(index).arguments.push_str(&delta);
                Change::None
            }
            ModelEvent::Usage(usage) => {
                self.usage = Some(usage);
                Change::None
            }
            ModelEvent::Stop(reason) => {
                self.stop = Some(reason);
                Change::None
            }
            ModelEvent::Ping => Change::None,
        }
    }

    fn call(&mut self, index: u32) -> &mut ToolCall {
        // A provider's index is not trusted as a size: a jump opens one more call, not a million.
        let index = usize::try_from(index)
            .unwrap_or(usize::MAX)
            .min(self.tool_calls.len());
        if index == self.tool_calls.len() {
            self.tool_calls.push(ToolCall::default());
        }
        &mut self.tool_calls[index]
    }

    /// The step as the model's message of the conversation.
    pub(crate) fn message(&self) -> ChatMessage {
        let mut content = Vec::with_capacity(1 + self.tool_calls.len());
        if !self.text.is_empty() {
            content.push(ContentBlock::Text {
                text: self.text.clone(),
            });
        }
        for call in &self.tool_calls {
            let arguments = if call.arguments.trim().is_empty() {
                "{}"
            } else {
                &call.arguments
            };
            content.push(ContentBlock::ToolUse {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: arguments.to_owned(),
            });
        }
        ChatMessage {
            role: Role::Assistant,
            content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: ModelEvent) -> RoutedEvent {
        RoutedEvent::Event(event)
    }

    #[test]
    fn interleaved_tool_calls_are_gathered_by_index() {
        let mut step = Step::default();
        step.take(event(ModelEvent::ToolUseStart {
            index: 0,
            id: "a".into(),
            name: "Read".into(),
        }));
        step.take(event(ModelEvent::ToolUseStart {
            index: 1,
            id: "b".into(),
            name: "Glob".into(),
        }));
        for (index, delta) in [(0, "{\"p\""), (1, "{"), (0, ":1}"), (1, "}")] {
            step.take(event(ModelEvent::ToolArgumentsDelta {
                index,
                delta: delta.into(),
            }));
        }
        let arguments: Vec<&str> = step
            .tool_calls
            .iter()
            .map(|call| call.arguments.as_str())
            .collect();
        assert_eq!(arguments, ["{\"p\":1}", "{}"]);
    }

    #[test]
    fn a_hostile_index_opens_one_call() {
        let mut step = Step::default();
        step.take(event(ModelEvent::ToolArgumentsDelta {
            index: u32::MAX,
            delta: "{".into(),
        }));
        assert_eq!(step.tool_calls.len(), 1);
    }

    #[test]
    fn a_restart_voids_what_was_said() {
        let mut step = Step::default();
        assert_eq!(
            step.take(event(ModelEvent::TextDelta("half".into()))),
            Change::Text("half".into())
        );
        let restarted = RoutedEvent::Restarted {
            from: ModelId::parse("a").unwrap(),
            to: ModelId::parse("b").unwrap(),
            reason: "MODEL_CUT",
        };
        assert_eq!(step.take(restarted), Change::Void);
        assert_eq!(
            (step.text.as_str(), step.model),
            ("", Some(ModelId::parse("b").unwrap()))
        );
    }
}
