//! Which way the messages of a dead-letter queue go back: by a move task of SQS, or by hand.
//!
//! Pure. A move task runs at SQS and moves a message as it is. By hand this program receives, sends and deletes, one after
//! the other. That is needed for chosen messages and for the order of groups. It is needed too where SQS cannot tell
//! where a message came from.

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Asked {
    /// The person wants it by hand.
    pub(super) by_hand: bool,
    /// Only messages of certain ids.
    pub(super) chosen: bool,
    /// The queue is FIFO.
    pub(super) fifo: bool,
    /// Among the first messages is one that queuepost dead-lettered itself.
    pub(super) ours: bool,
    /// The queue has an ARN, which a task is started by.
    pub(super) has_arn: bool,
}

/// How messages go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a move task of SQS.
    Task,
    /// Each received, sent and deleted; why.
    ByHand(&'static str),
}

/// The way to take.
pub(super) fn way(asked: Asked) -> Way {
    let Asked { by_hand, chosen, fifo, ours, has_arn } = asked;
    if by_hand {
        Way::ByHand("--by-hand was given")
    } else if chosen {
        Way::ByHand("a move task of SQS cannot choose by id")
    } else if fifo {
        Way::ByHand("so that each group keeps its order")
    } else if ours {
        Way::ByHand("queuepost put messages there itself, and SQS does not know where they came from")
    } else if has_arn {
        Way::Task
    } else {
        Way::ByHand("this server names no ARN of the queue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_moves_what_sqs_dead_lettered_on_standard_queues_and_everything_else_goes_by_hand() {
        let plain = Asked { has_arn: true, ..Asked::default() };
        assert_eq!(way(plain), Way::Task);
        for (asked, word) in [
            (Asked { by_hand: true, ..plain }, "--by-hand"),
            (Asked { chosen: true, ..plain }, "id"),
            (Asked { fifo: true, ..plain }, "order"),
            (Asked { ours: true, ..plain }, "itself"),
            (Asked { has_arn: false, ..plain }, "ARN"),
        ] {
            let Way::ByHand(why) = way(asked) else { panic!("{asked:?}") };
            assert!(why.contains(word), "{why}");
        }
    }
}
