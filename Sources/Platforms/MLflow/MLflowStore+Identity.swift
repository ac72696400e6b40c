public import Replication

extension MLflowStore {
    /// An MLflow server has no identifier of its own. Its first experiment's id, artifact location and time of creation (set when the
    /// data base was made) stand in, with the workspace: two addresses of one server give the same.
    public func identity() async throws -> StoreIdentity {
        if let identify { return try await identify(self) }
        var first = try await experiment(ExperimentID("0"))
        if first == nil { first = try await oldestExperiment() }
        guard let first else {
            throw StoreError(
                .setAside, .notFound, "\(name): the server has no experiment at all, so it cannot be told from another; create one")
        }
        try await checkDatabase(with: first)
        var hash = StableHash()
        let workspace = endpoint.workspace.flatMap { $0 == "default" ? nil : $0 } ?? ""
        for part in [first.id.rawValue, first.artifactLocation, first.creationTime.map(String.init) ?? "", workspace] { hash.add(part) }
        return StoreIdentity("mlflow-\(hash.hexadecimal)")
    }

    /// Another server's data base would give the histories of another server's runs: asked once, before anything is read from it.
    private func checkDatabase(with shown: Experiment) async throws {
        guard let database, await !memory.databaseIsChecked else { return }
        guard try await database.holds(shown) else {
            throw StoreError(.stop, .invalid, database.isNotBehind(name, shown))
        }
        await memory.databaseWasChecked()
    }

    private func oldestExperiment() async throws -> Experiment? {
        var oldest: Experiment?
        var token: PageToken?
        repeat {
            let page = try await experiments(token)
            for experiment in page.elements where oldest.map({ ($0.creationTime ?? 0) > (experiment.creationTime ?? 0) }) ?? true {
                oldest = experiment
            }
            guard page.next != token else { break }
            token = page.next
        } while token != nil
        return oldest
    }

    /// `GET /version`: plain text such as `3.17.2`. nil where the answer is no version.
    public func serverVersion() async throws -> String? {
        let call = MLflowCall.get("/version", of: "the server's version")
        let body: [UInt8]
        do {
            body = try await send(call)
        } catch let error as StoreError where [.unsupported, .notFound, .malformed, .notMLflow].contains(error.reason) {
            return nil
        }
        let text = String(decoding: body.prefix(64), as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        return text.first?.isNumber == true && text.contains(".") ? text : nil
    }
}

/// FNV-1a, 64 bits, twice with different starts: the same on every machine and in every release.
struct StableHash {
    private var first: UInt64 = 0xcbf2_9ce4_8422_2325
    private var second: UInt64 = 0x6c62_272e_07bb_0142

    /// One part; parts do not run into each other.
    mutating func add(_ text: String) {
        for byte in Array(text.utf8) + [0xFF] {
            first = (first ^ UInt64(byte)) &* 0x100_0000_01b3
            second = (second ^ UInt64(byte)) &* 0x100_0000_01b3
            second ^= second >> 29
        }
    }

    /// 32 digits.
    var hexadecimal: String {
        [first, second].map { value in
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }
}
