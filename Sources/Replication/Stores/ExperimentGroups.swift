/// An error of the work on what a listing showed, and not of the listing.
struct WorkError: Error {
    let error: StoreError

    static func of<R>(_ work: () async throws -> R) async throws -> R {
        do { return try await work() } catch let error as StoreError { throw WorkError(error: error) }
    }
}

extension TrackingStore {
    /// Hands over experiments in groups, none larger than one search takes. Some of many may be closed to us, or be too many at once: a search
    /// over all of them then fails, and the group is split until only those fail that are closed.
    ///
    /// - Parameters:
    ///   - body: what is done with a group; again with each half when it is refused. What it does besides listing, it does within `WorkError.of`.
    ///   - closed: told of each that is refused alone.
    func inGroups(
        _ experiments: [ExperimentID], atMost most: Int = .max, _ body: ([ExperimentID]) async throws -> Void,
        closed: (ExperimentID, StoreError) async throws -> Void
    ) async throws {
        var groups = Array(experiments.chunks(of: min(most, dialect.experimentsPerSearch)).reversed())
        while let group = groups.popLast() {
            do {
                try await body(group)
            } catch let work as WorkError {
                throw work.error
            } catch let error as StoreError where group.count > 1 ? error.mayBeOfOneAmongMany : error.isClosed {
                if group.count > 1 {
                    groups += group.halves.reversed()
                } else if let id = group.first {
                    try await closed(id, error)
                }
            }
        }
    }
}
