//! Wrong lines, put in on purpose: with each of them the checker must find the property that it breaks.

/// A wrong line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Settlement deletes a message whose result or copy is still owed.
    DeletesBeforeResults,
    /// Memory does not remember finished messages.
    ForgetsFinishes,
    /// A lease that is closed is extended all the same.
    ExtendsAfterPark,
    /// A hiding does not wait for an extension under way.
    DoesNotWaitForExtension,
    /// A park behind an extension without an answer is not sent once more.
    ParksOnce,
    /// An extension that was answered makes an earlier one without an answer forgotten.
    TrustsLaterExtension,
    /// A delete that got no answer, and "invalid handle" at its next try, lets the successor go.
    TrustsUnconfirmedDelete,
    /// A message behind a copy of one that is in flight starts a run of its group.
    JoinsBehindCopy,
}
