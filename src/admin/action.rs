//! What may be asked for by whoever shows the token: names, paths, and what each takes.

use super::guard::Takes;

/// A change, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pause,
    Resume,
    Workers,
    Drain,
    Test,
    Send,
    Peek,
    Redrive,
    CancelRedrive,
    Reload,
    LogLevel,
}

impl Action {
    /// Those of one listener.
    pub(super) const OF_LISTENER: [Self; 9] = [
        Self::Pause,
        Self::Resume,
        Self::Workers,
        Self::Drain,
        Self::Test,
        Self::Send,
        Self::Peek,
        Self::Redrive,
        Self::CancelRedrive,
    ];

    /// Its name in the log and as a label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Workers => "workers",
            Self::Drain => "drain",
            Self::Test => "test",
            Self::Send => "send",
            Self::Peek => "peek",
            Self::Redrive => "redrive",
            Self::CancelRedrive => "cancel_redrive",
            Self::Reload => "reload",
            Self::LogLevel => "log_level",
        }
    }

    /// The path below that of a listener, or of all routes.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Peek => "dead-letters/peek",
            Self::CancelRedrive => "redrive/cancel",
            Self::LogLevel => "log-level",
            _ => self.label(),
        }
    }

    pub(super) const fn takes(self) -> Takes {
        match self {
            Self::Pause | Self::Resume | Self::Drain | Self::Reload | Self::CancelRedrive => Takes::Nothing,
            Self::Peek | Self::Redrive => Takes::Choices,
            Self::Workers | Self::LogLevel => Takes::Values,
            Self::Test | Self::Send => Takes::Message,
        }
    }
}
