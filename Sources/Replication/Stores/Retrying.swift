/// Repeats a read while its store says that it may be repeated.
struct Retrying: Sendable {
    let attempts: Int
    let clock: any ReplicationClock
    let board: ProgressBoard

    /// Has no patience, but with a store that is asked too often.
    var once: Retrying {
        var other = self
        other.waitsForRoomOnly = true
        return other
    }
    private var waitsForRoomOnly = false

    init(attempts: Int, clock: any ReplicationClock, board: ProgressBoard) {
        self.attempts = attempts
        self.clock = clock
        self.board = board
    }

    func callAsFunction<R: Sendable>(_ read: () async throws -> R) async throws -> R {
        var attempt = 1
        while true {
            do { return try await read() } catch let error as StoreError where error.isRetriable {
                guard attempt < attempts, !waitsForRoomOnly || error.reason == .throttled else { throw error }
                board.count { $0.retries += 1 }
                try await clock.sleep(seconds: Backoff().pause(attempt: attempt, key: EntityKey(.run, "read"), error))
                attempt += 1
            }
        }
    }
}

extension Retrying {
    /// Hands over a listing's pages, each once, to its end.
    ///
    /// - Throws: `StoreError` that stops the work when the listing gives a page twice: it would never end.
    func pages<Element: Sendable>(
        _ read: (PageToken?) async throws -> Page<Element>, _ take: (Page<Element>) async throws -> Void
    ) async throws {
        var token: PageToken?
        var seen: Set<PageToken> = []
        repeat {
            let page = try await self { try await read(token) }
            try await take(page)
            token = page.next
            if let token, !seen.insert(token).inserted {
                throw StoreError(.stop, .malformed, "a listing of \(Element.self)s gives the same page again and would never end")
            }
        } while token != nil
    }
}
