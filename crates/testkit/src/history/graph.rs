//! Circles among transactions, by Tarjan's algorithm ("Depth-First Search and Linear Graph
//! Algorithms", 1972).

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Anomaly, AnomalyKind, Edge, Key};

/// An edge to a transaction, why, and over which key.
type Out = (usize, Edge, Key);

/// Who came before whom.
#[derive(Debug, Default)]
pub(super) struct Graph {
    ids: Vec<u64>,
    out: Vec<Vec<Out>>,
}

impl Graph {
    /// Transactions without edges.
    pub(super) fn new(ids: impl Iterator<Item = u64>) -> Graph {
        let ids: Vec<u64> = ids.collect();
        Graph {
            out: vec![Vec::new(); ids.len()],
            ids,
        }
    }

    /// Adds that `from` came before `to`.
    pub(super) fn add(&mut self, from: usize, to: usize, edge: Edge, key: Key) {
        if from != to
            && let Some(out) = self.out.get_mut(from)
            && !out.iter().any(|(other, of, _)| (*other, *of) == (to, edge))
        {
            out.push((to, edge, key));
        }
    }

    /// The anomalies among the circles: of each kind, strongest first, one for every group of
    /// transactions that are in such circles with each other.
    pub(super) fn circles(&self) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        self.find(&mut anomalies, AnomalyKind::DirtyWrite, &|edge| {
            edge == Edge::WriteWrite
        });
        self.find(&mut anomalies, AnomalyKind::CircularFlow, &|edge| {
            !edge.is_anti()
        });
        self.find_single(&mut anomalies);
        self.find_non_adjacent(&mut anomalies);
        self.find(&mut anomalies, AnomalyKind::WriteSkew, &|edge| {
            edge != Edge::PredicateReadWrite
        });
        self.find(&mut anomalies, AnomalyKind::Phantom, &|_| true);
        anomalies
    }

    /// Reports a shortest circle of each component over the edges that `keep` keeps.
    fn find(&self, anomalies: &mut Vec<Anomaly>, kind: AnomalyKind, keep: &dyn Fn(Edge) -> bool) {
        let groups = Groups::of(self.ids.len(), &|at| self.next(at, keep));
        let known: HashSet<u64> = anomalies
            .iter()
            .flat_map(|known| known.circle.iter().map(|(id, _)| *id))
            .collect();
        for component in &groups.components {
            let Some(start) = component.first().copied() else {
                continue;
            };
            let next = |at: usize| groups.within(self.next(at, keep), start);
            if let Some(path) = shortest(start, start, &next) {
                // A weaker kind of circle is reported where it needs its own kind of edge.
                let has =
                    |wanted: &dyn Fn(Edge) -> bool| path.iter().any(|(_, edge, _)| wanted(*edge));
                let is_of_kind = match kind {
                    AnomalyKind::CircularFlow => has(&|edge| edge == Edge::WriteRead),
                    AnomalyKind::WriteSkew => has(&Edge::is_anti),
                    AnomalyKind::Phantom => has(&|edge| edge == Edge::PredicateReadWrite),
                    _ => true,
                };
                let is_known = || {
                    component
                        .iter()
                        .filter_map(|at| self.ids.get(*at))
                        .any(|id| known.contains(id))
                };
                if is_of_kind || !is_known() {
                    anomalies.push(self.anomaly(kind, &path));
                }
            }
        }
    }

    /// Circles with one anti-dependency.
    fn find_single(&self, anomalies: &mut Vec<Anomaly>) {
        let groups = Groups::of(self.ids.len(), &|at| self.next(at, &|_| true));
        for component in &groups.components {
            let found = component.iter().find_map(|from| {
                let all = groups.within(self.next(*from, &|_| true), *from);
                let mut antis = all.into_iter().filter(|(_, edge, _)| edge.is_anti());
                // Whoever is outside of the component does not lead back.
                let next = |at: usize| groups.within(self.next(at, &|edge| !edge.is_anti()), *from);
                antis.find_map(|(to, edge, key)| {
                    let mut back = shortest(to, *from, &next)?;
                    back.insert(0, (*from, edge, key));
                    Some(back)
                })
            });
            if let Some(path) = found {
                anomalies.push(self.anomaly(AnomalyKind::ReadSkew, &path));
            }
        }
    }

    /// Circles without two anti-dependencies in a row. Each transaction counts twice: as
    /// reached through an anti-dependency, from where no other may follow, and as reached
    /// otherwise.
    fn find_non_adjacent(&self, anomalies: &mut Vec<Anomaly>) {
        let next = |node: usize| -> Vec<Out> {
            let after_anti = node % 2 == 1;
            self.next(node / 2, &|edge| !(after_anti && edge.is_anti()))
                .into_iter()
                .map(|(to, edge, key)| (to * 2 + usize::from(edge.is_anti()), edge, key))
                .collect()
        };
        let groups = Groups::of(self.ids.len() * 2, &next);
        for component in &groups.components {
            let Some(start) = component.first().copied() else {
                continue;
            };
            let inside = |node: usize| groups.within(next(node), start);
            let Some(path) = shortest(start, start, &inside) else {
                continue;
            };
            let antis = path.iter().filter(|(_, edge, _)| edge.is_anti()).count();
            if antis > 1 {
                let path: Vec<_> = path
                    .into_iter()
                    .map(|(node, edge, key)| (node / 2, edge, key))
                    .collect();
                anomalies.push(self.anomaly(AnomalyKind::NonAdjacent, &path));
            }
        }
    }

    /// The edges from a transaction that `keep` keeps.
    fn next(&self, at: usize, keep: &dyn Fn(Edge) -> bool) -> Vec<Out> {
        let edges = self.out.get(at).map_or(&[][..], Vec::as_slice);
        edges
            .iter()
            .filter(|(_, edge, _)| keep(*edge))
            .copied()
            .collect()
    }

    fn anomaly(&self, kind: AnomalyKind, path: &[Out]) -> Anomaly {
        let id = |at: &usize| self.ids.get(*at).copied().unwrap_or(u64::MAX);
        Anomaly {
            kind,
            circle: path
                .iter()
                .map(|(at, edge, key)| (id(at), Some((*edge, *key))))
                .collect(),
            detail: String::new(),
        }
    }
}

/// The strongly connected components of a graph, and to which of them each node belongs.
struct Groups {
    components: Vec<Vec<usize>>,
    /// The component's number plus one; zero for nodes that are on no circle.
    of: Vec<usize>,
}

impl Groups {
    fn of(nodes: usize, next: &dyn Fn(usize) -> Vec<Out>) -> Groups {
        let to = |at: usize| next(at).into_iter().map(|(to, ..)| to).collect();
        let components = components(nodes, &to);
        let mut of = vec![0; nodes];
        for (number, component) in components.iter().enumerate() {
            for node in component {
                of[*node] = number + 1;
            }
        }
        Groups { components, of }
    }

    /// The edges that stay within the component of `whose`: no other is on a circle with it. Looking
    /// for circles elsewhere would take a long history's length for each of them.
    fn within(&self, mut edges: Vec<Out>, whose: usize) -> Vec<Out> {
        edges.retain(|(to, ..)| self.of[*to] == self.of[whose]);
        edges
    }
}

/// A shortest way of at least one step, as the nodes left and the edges taken.
fn shortest(from: usize, to: usize, next: &dyn Fn(usize) -> Vec<Out>) -> Option<Vec<Out>> {
    let mut came: HashMap<usize, Out> = HashMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for (node, edge, key) in next(at) {
            if came.contains_key(&node) {
                continue;
            }
            came.insert(node, (at, edge, key));
            if node == to {
                let mut path = Vec::new();
                let mut end = node;
                while let Some(step) = came.get(&end) {
                    path.push(*step);
                    end = step.0;
                    if end == from {
                        break;
                    }
                }
                path.reverse();
                return Some(path);
            }
            queue.push_back(node);
        }
    }
    None
}

/// The strongly connected components of more than one node. Without recursion: a chain of
/// dependencies may be as long as the history.
fn components(nodes: usize, next: &dyn Fn(usize) -> Vec<usize>) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let mut index = vec![NEW; nodes];
    let mut low = vec![0; nodes];
    let mut on_stack = vec![false; nodes];
    let mut stack = Vec::new();
    let mut count = 0;
    let mut found = Vec::new();
    for root in 0..nodes {
        if index[root] != NEW {
            continue;
        }
        let mut work: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut enter = Some(root);
        loop {
            if let Some(node) = enter.take() {
                index[node] = count;
                low[node] = count;
                count += 1;
                stack.push(node);
                on_stack[node] = true;
                work.push((node, next(node)));
            }
            let Some((node, rest)) = work.last_mut() else {
                break;
            };
            let node = *node;
            if let Some(to) = rest.pop() {
                if index[to] == NEW {
                    enter = Some(to);
                } else if on_stack[to] {
                    low[node] = low[node].min(index[to]);
                }
                continue;
            }
            work.pop();
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
            if low[node] == index[node] {
                let from = stack.iter().rposition(|other| *other == node).unwrap_or(0);
                let component = stack.split_off(from);
                for member in &component {
                    on_stack[*member] = false;
                }
                if component.len() > 1 {
                    found.push(component);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn components_are_who_can_reach_each_other(edges: Vec<(u8, u8)>) -> bool {
            const NODES: usize = 9;
            let edges: Vec<(usize, usize)> = edges
                .into_iter()
                .map(|(from, to)| (usize::from(from) % NODES, usize::from(to) % NODES))
                .collect();
            let mut reaches = [[false; NODES]; NODES];
            for (from, to) in &edges {
                reaches[*from][*to] = true;
            }
            for via in 0..NODES {
                for from in 0..NODES {
                    for to in 0..NODES {
                        reaches[from][to] |= reaches[from][via] && reaches[via][to];
                    }
                }
            }
            let found = components(NODES, &|at| {
                edges.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect()
            });
            (0..NODES).all(|one| {
                (0..NODES).all(|other| {
                    let together = found.iter().any(|group| group.contains(&one) && group.contains(&other));
                    one == other || together == (reaches[one][other] && reaches[other][one])
                })
            })
        }
    }
}
