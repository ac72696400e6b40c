/// The pages of a query for runs, each asked for from the last one's end by start time: what is deleted meanwhile cannot shift a later
/// page past a run. No run is handed over twice.
struct RunPages<Store: TrackingStore>: Sendable {
    private let store: Store
    private let retrying: Retrying
    private var query: RunQuery
    private var seen: Set<RunID> = []
    private var token: PageToken?
    private var isAtEnd = false

    init(_ store: Store, _ query: RunQuery, _ retrying: Retrying) {
        self.store = store
        self.query = query
        self.retrying = retrying
    }

    /// Nil at the end. A page may be empty before it.
    mutating func next() async throws -> Page<Run>? {
        guard !isAtEnd else { return nil }
        let (store, query, token) = (store, query, token)
        var page = try await retrying { try await store.runs(query, token) }
        let all = page.elements
        page.elements.removeAll { seen.contains($0.id) }
        advance(past: all, next: page.next)
        return page
    }

    private mutating func advance(past runs: [Run], next: PageToken?) {
        guard let next, let last = runs.last else {
            isAtEnd = next == nil
            token = next
            return
        }
        if let from = query.startedFrom, last.startTime <= from {
            // More runs started at one instant than a page holds.
            seen.formUnion(runs.map(\.id))
            token = next
        } else {
            query.startedFrom = last.startTime
            seen = Set(runs.filter { $0.startTime == last.startTime }.map(\.id))
            token = nil
        }
    }
}
