import Foundation
import Replication

/// Declares paths of runs: those that come while a request is under way go with the next one together.
actor Declarations {
    private let history: MLflowService
    private var waiting: [String: [Request]] = [:]
    private var isBusy: Set<String> = []
    /// Addresses that were given and came to nothing.
    private var unused: [ExactName: String] = [:]

    private struct Request {
        var path: String
        var answer: CheckedContinuation<Result<String?, any Error>, Never>
    }

    /// Paths in one request: as azureml-mlflow sends. The service refuses more than 100.
    private static let most = 50
    private static let mostUnused = 100

    init(_ history: MLflowService) { self.history = history }

    /// - Parameter place: the run's artifacts in the run history service.
    /// - Returns: where the bytes are to be written; nil where the path was declared before.
    func declare(_ path: String, _ place: String) async throws -> String? {
        try Task.checkCancellation()
        if let address = unused.removeValue(forKey: Self.name(path, place)) { return address }
        let answer = await withCheckedContinuation { answer in
            waiting[place, default: []].append(Request(path: path, answer: answer))
            if isBusy.insert(place).inserted { Task { await send(place) } }
        }
        return try answer.get()
    }

    /// An address that `declare` gave and nothing was written to: the next who declares the path has it.
    func giveBack(_ address: String, of path: String, _ place: String) {
        if unused.count >= Self.mostUnused { unused = [:] }
        unused[Self.name(path, place)] = address
    }

    private static func name(_ path: String, _ place: String) -> ExactName { ExactName(place + "/" + path) }

    /// Not of any caller's task: what ends one of them must not end it for the others.
    private func send(_ place: String) async {
        while let all = waiting[place], !all.isEmpty {
            // One path twice would be declared, and refused as there already.
            var batch: [Request] = []
            var rest: [Request] = []
            var paths: Set<String> = []
            for request in all {
                if batch.count < Self.most, paths.insert(request.path).inserted { batch.append(request) } else { rest.append(request) }
            }
            waiting[place] = rest
            let found = await answers(to: batch.map(\.path), place)
            for request in batch { request.answer.resume(returning: Result { try found[request.path]?.get() }) }
        }
        waiting[place] = nil
        isBusy.remove(place)
    }

    /// A batch that is refused as a whole is asked for one by one: whose fault it was, the service does not say.
    private func answers(to paths: [String], _ place: String) async -> [String: Result<String?, any Error>] {
        do { return try await request(paths, place) } catch let error as StoreError where error.decision == .setAside && paths.count > 1 {
            var found: [String: Result<String?, any Error>] = [:]
            for path in paths { found.merge(await answers(to: [path], place)) { first, _ in first } }
            return found
        } catch {
            return Dictionary(paths.map { ($0, .failure(error)) }, uniquingKeysWith: { first, _ in first })
        }
    }

    private struct Body: Encodable {
        struct Path: Encodable { var path: String }
        var paths: [Path]
    }

    private struct Answer: Decodable {
        struct Content: Decodable { var contentUri: String? }
        var artifactContentInformation: [String: Content]?
        var errors: [String: JSONValue]?
    }

    private func request(_ paths: [String], _ place: String) async throws -> [String: Result<String?, any Error>] {
        let subject = paths.count == 1 ? "declaring file \(paths[0])" : "declaring \(paths.count) files, \(paths[0]) first"
        let call = try MLflowCall.write(place + "/batch/metadata", Body(paths: paths.map { Body.Path(path: $0) }), of: subject)
        let answer = try RunFiles.decode(Answer.self, try await history.send(call), call, history)
        var found: [String: Result<String?, any Error>] = [:]
        for path in paths {
            if let address = answer.artifactContentInformation?[path]?.contentUri {
                found[path] = .success(address)
            } else if let error = answer.errors?[path] {
                let text = error.texts.joined(separator: " ")
                found[path] =
                    text.contains("already exists")
                    ? .success(nil)
                    : .failure(
                        StoreError(
                            .setAside, .invalid, history.failure.message(call, text, "the service refuses the path as it is"),
                            exchange: history.failure.exchange(call, text)))
            } else {
                found[path] = .failure(history.failure.malformed(call, "no word about \(path)"))
            }
        }
        return found
    }
}

/// JSON of which only the texts are of interest.
private enum JSONValue: Decodable {
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])
    case other

    init(from decoder: any Decoder) throws {
        if let container = try? decoder.singleValueContainer() {
            if let text = try? container.decode(String.self) {
                self = .text(text)
                return
            }
            if let list = try? container.decode([JSONValue].self) {
                self = .list(list)
                return
            }
            if let object = try? container.decode([String: JSONValue].self) {
                self = .object(object)
                return
            }
        }
        self = .other
    }

    var texts: [String] {
        switch self {
        case .text(let text): [text]
        case .list(let list): list.flatMap(\.texts)
        case .object(let object): object.sorted { $0.key < $1.key }.flatMap(\.value.texts)
        case .other: []
        }
    }
}

/// Listings of a moment ago: a run's folders are looked at one after the other, and each would ask for all files of the run.
final class RecentListings: Sendable {
    private struct Listing {
        var paths: [String]
        var until: ContinuousClock.Instant
    }
    private let state = Locked<[String: Listing]>([:])
    private static let life = Duration.seconds(15)
    private static let most = 32

    func recent(_ place: String) -> [String]? {
        state.withLock { listings in
            guard let listing = listings[place], listing.until > .now else { return nil }
            return listing.paths
        }
    }

    func note(_ place: String, _ paths: [String]) {
        state.withLock { listings in
            if listings.count >= Self.most { listings = listings.filter { $0.value.until > .now } }
            if listings.count >= Self.most { listings = [:] }
            listings[place] = Listing(paths: paths, until: .now + Self.life)
        }
    }

    func forget(_ place: String) { state.withLock { $0[place] = nil } }
}
