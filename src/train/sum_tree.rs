//! The order in which the gradients of the K windows of a step are added: a binary tree.
//!
//! A node of level `l` is the sum of up to 2^l windows, and its number times 2^l is the first of
//! them. It is its left child plus its right child; a node without a right child is its left child.
//! With K = 6:
//!
//! ```text
//! level 3   ((g0 + g1) + (g2 + g3)) + (g4 + g5)
//! level 2    (g0 + g1) + (g2 + g3)     g4 + g5
//! level 1    g0 + g1     g2 + g3       g4 + g5
//! level 0    g0    g1    g2    g3      g4    g5
//! ```
//!
//! The order does not depend on how the windows are divided among processes. Each process adds up
//! the nodes that it can complete, and sends a few of them instead of all its windows.

/// A sum of neighboring windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    level: u32,
    number: u64,
}

/// The sums so far of a range of windows, from the first of them on.
#[derive(Clone, Debug)]
pub(super) struct SumTree {
    /// Number of windows of the whole tree (K).
    windows: u64,
    /// The complete nodes, in order. No two of them have the same parent.
    complete: Vec<Node>,
}

impl SumTree {
    pub(super) fn new(windows: u64) -> Self {
        Self { windows, complete: Vec::new() }
    }

    /// Forgets all nodes.
    pub(super) fn clear(&mut self) {
        self.complete.clear();
    }

    /// Number of complete nodes.
    pub(super) fn len(&self) -> usize {
        self.complete.len()
    }

    /// Returns whether the only complete node is the sum of all windows.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.complete[..], [node] if self.is_root(node))
    }

    /// Adds the next window. It is the right operand of additions to the last complete nodes, the
    /// last first. Returns their number. The sum is then the last complete node.
    pub(super) fn add(&mut self, window: u64) -> usize {
        self.add_node(Node { level: 0, number: window })
    }

    /// Adds the nodes of another tree, whose windows follow. Returns the number of additions, as
    /// `add` does, for each node.
    pub(super) fn add_all(&mut self, other: &Self) -> Vec<usize> {
        other.complete.iter().map(|node| self.add_node(*node)).collect()
    }

    fn add_node(&mut self, mut node: Node) -> usize {
        let mut additions = 0;
        while !self.is_root(node) {
            let is_left = node.number.is_multiple_of(2);
            let sibling = Node { number: node.number ^ 1, ..node };
            match self.complete.last() {
                Some(left) if !is_left && *left == sibling => {
                    additions += usize::from(self.complete.pop().is_some())
                }
                _ if is_left && self.first_window(sibling) >= self.windows => {}
                _ => break,
            }
            node = Node { level: node.level + 1, number: node.number / 2 };
        }
        self.complete.push(node);
        additions
    }

    fn first_window(&self, node: Node) -> u64 {
        node.number.checked_shl(node.level).unwrap_or(u64::MAX)
    }

    fn is_root(&self, node: Node) -> bool {
        node.number == 0 && 1u64.checked_shl(node.level).is_none_or(|windows| windows >= self.windows)
    }
}

/// The most sums that wait for their right operand: buffers that a step of `windows` windows needs
/// beside the gradient.
pub(crate) fn waiting_sums(windows: usize) -> u32 {
    windows.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of `windows` by the definition.
    fn whole(first: u64, windows: u64) -> String {
        match windows {
            1 => first.to_string(),
            _ => {
                let left = windows.next_power_of_two() / 2;
                format!("({}+{})", whole(first, left), whole(first + left, windows - left))
            }
        }
    }

    /// Adds a value to the sums that wait, as the tree says.
    fn apply(sums: &mut Vec<String>, additions: usize, mut value: String) {
        for _ in 0..additions {
            value = format!("({}+{value})", sums.pop().unwrap());
        }
        sums.push(value);
    }

    #[test]
    fn the_order_is_that_of_the_definition_for_any_division() {
        for windows in 1..40 {
            for ranks in 1..=windows.min(9) {
                let (mut all, mut sums) = (SumTree::new(windows), Vec::new());
                for rank in 0..ranks {
                    let (mut own, mut own_sums) = (SumTree::new(windows), Vec::new());
                    for window in windows * rank / ranks..windows * (rank + 1) / ranks {
                        let additions = own.add(window);
                        apply(&mut own_sums, additions, window.to_string());
                        assert_eq!(own.len(), own_sums.len());
                    }
                    for (additions, sum) in all.add_all(&own).into_iter().zip(own_sums) {
                        apply(&mut sums, additions, sum);
                    }
                }
                assert_eq!(sums, [whole(0, windows)], "{windows} windows, {ranks} ranks");
                assert!(all.is_whole());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn windows_may_be_divided_anywhere(windows in 1..400u64, cuts: Vec<u64>) {
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut % (windows + 1)).collect();
            cuts.extend([0, windows]);
            cuts.sort_unstable();
            let (mut all, mut sums) = (SumTree::new(windows), Vec::new());
            for part in cuts.windows(2) {
                let (mut own, mut own_sums) = (SumTree::new(windows), Vec::new());
                for window in part[0]..part[1] {
                    let additions = own.add(window);
                    apply(&mut own_sums, additions, window.to_string());
                }
                let most = 2 * (part[1] - part[0]).max(1).ilog2() + 1;
                assert!(own.len() <= most as usize, "{} sums of {part:?} of {windows}", own.len());
                for (additions, sum) in all.add_all(&own).into_iter().zip(own_sums) {
                    apply(&mut sums, additions, sum);
                }
            }
            assert_eq!(sums, [whole(0, windows)]);
        }
    }

    #[test]
    fn few_sums_wait() {
        for windows in 1..200 {
            let mut tree = SumTree::new(windows);
            let most = (0..windows).map(|window| (tree.len(), tree.add(window)).0).max();
            assert_eq!(most, Some(waiting_sums(windows as usize) as usize), "{windows}");
        }
    }
}
