public import Replication

/// What a daemon with a bug would do to a store, or hear from it: laid over the store, so that the daemon need not be changed.
extension FakeStore {
    public enum Lie: Sendable {
        /// Not done, and reported as done: as if a failure had been overlooked. Of writes that give nothing back.
        case swallowed
        /// Done twice for one call.
        case twice
        /// Nothing is found.
        case empty
        /// A listing ends after its first page.
        case firstPage
        /// What was answered the first time.
        case stale
    }

    /// Lies to clients whose calls go through a `Passage`; nil: tells the truth.
    public func setLie(_ lie: (@Sendable (Operation) -> Lie?)?) { state.withLock { $0.lie = lie } }
}

extension FakeStore.State {
    mutating func tell<R: Sendable>(
        _ lie: FakeStore.Lie, _ operation: FakeStore.Operation, _ body: (inout FakeStore.State) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        switch lie {
        case .swallowed:
            if let nothing = () as? R { return nothing }
            return try body(&self)
        case .twice:
            let first = try body(&self)
            if let second = try? body(&self) { return second }
            return first
        case .empty:
            let truth = try body(&self)
            return (R.self as? any Emptiable.Type)?.empty as? R ?? truth
        case .firstPage:
            let truth = try body(&self)
            return (truth as? any Paged)?.firstOnly as? R ?? truth
        case .stale:
            if let first = remembered[operation] as? R { return first }
            let truth = try body(&self)
            remembered[operation] = truth
            return truth
        }
    }
}

private protocol Emptiable {
    static var empty: Self { get }
}
extension Page: Emptiable { static var empty: Page { Page([]) } }
extension Array: Emptiable { static var empty: [Element] { [] } }
extension Optional: Emptiable { static var empty: Wrapped? { nil } }

private protocol Paged {
    var firstOnly: Self { get }
}
extension Page: Paged { var firstOnly: Page { Page(elements, undecodable: undecodable) } }
