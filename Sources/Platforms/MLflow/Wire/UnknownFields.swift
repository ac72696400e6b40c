import Replication

/// Fields of a server's answers that nothing is made of, because they are newer than this: counted, so that somebody is told.
///
/// Known are those of mlflow 3.17's `service.proto` and `model_registry.proto`, also where they are left on purpose.
final class UnknownFields: Sendable {
    private struct State {
        var counts: [String: Int] = [:]
        /// Entities that were looked at, by listing.
        var looked: [String: Int] = [:]
    }
    private let state = Locked(State())

    /// After so many of a listing only the first of each page is looked at.
    private static let most = 1000
    /// What an answer can make grow.
    private static let names = 100
    /// Bytes of one thing's fields that are carried.
    private static let largest = 64 << 10

    private static let known: [String: [String: Set<String>]] = [
        "experiments": [
            "": [
                "experiment_id", "name", "artifact_location", "lifecycle_stage", "last_update_time", "creation_time", "tags", "workspace",
                "effective_trace_archival_retention",
            ]
        ],
        "runs": [
            "": ["info", "data", "inputs", "outputs"],
            "info": [
                "run_id", "run_uuid", "run_name", "experiment_id", "user_id", "status", "start_time", "end_time", "artifact_uri",
                "lifecycle_stage",
            ],
            "data": ["metrics", "params", "tags"], "inputs": ["dataset_inputs", "model_inputs"], "outputs": ["model_outputs"],
        ],
        "models": [
            "": ["info", "data"],
            "info": [
                "model_id", "experiment_id", "name", "creation_timestamp_ms", "last_updated_timestamp_ms", "artifact_uri", "status",
                "creator_id", "model_type", "source_run_id", "status_message", "tags", "registrations",
            ],
            "data": ["params", "metrics"],
        ],
        "registered_models": [
            "": [
                "name", "creation_timestamp", "last_updated_timestamp", "user_id", "description", "latest_versions", "tags", "aliases",
                "deployment_job_id", "deployment_job_state",
            ]
        ],
        "model_versions": [
            "": [
                "name", "version", "creation_timestamp", "last_updated_timestamp", "user_id", "current_stage", "description", "source",
                "run_id", "status", "status_message", "tags", "run_link", "aliases", "model_id", "model_params", "model_metrics",
                "deployment_job_state",
            ]
        ],
    ]

    /// By `LISTING.PART.FIELD`, in how many things it was seen.
    var counts: [String: Int] { state.withLock { $0.counts } }

    /// - Parameter listing: the member of the answer that the entity is an element of.
    func look(at body: [UInt8], in entity: Range<Int>, of listing: String, isFirst: Bool) {
        guard let parts = Self.known[listing] else { return }
        let isDue = state.withLock { state in
            state.looked[listing, default: 0] += 1
            return isFirst || state.looked[listing, default: 0] <= Self.most
        }
        guard isDue, let members = try? JSONSpan.members(of: body, in: entity) else { return }
        note(body, members, parts[""] ?? [], listing)
        for member in members {
            let name = String(decoding: body[member.name], as: UTF8.self)
            guard let known = parts[name], let inner = try? JSONSpan.members(of: body, in: member.value) else { continue }
            note(body, inner, known, "\(listing).\(name)")
        }
    }

    /// The fields of one thing themselves, by path: the first hundred, and of those the values that fit.
    static func fields(of body: [UInt8], in entity: Range<Int>, of listing: String) -> [UnknownField] {
        guard let parts = known[listing], let members = try? JSONSpan.members(of: body, in: entity) else { return [] }
        var found: [String: Range<Int>] = [:]
        func take(_ members: [(name: Range<Int>, value: Range<Int>)], besides known: Set<String>, _ prefix: String) {
            for member in members {
                let name = JSONSpan.unescaped(body[member.name])
                if known.contains(name) || body[member.value].elementsEqual("null".utf8) { continue }
                // The first of equal names is the one that counts.
                if found[prefix + name] == nil { found[prefix + name] = member.value }
            }
        }
        take(members, besides: parts[""] ?? [], "")
        for member in members {
            let name = String(decoding: body[member.name], as: UTF8.self)
            guard let known = parts[name], let inner = try? JSONSpan.members(of: body, in: member.value) else { continue }
            take(inner, besides: known, name + ".")
        }
        var room = largest
        return found.sorted { $0.key < $1.key }.prefix(names).map { path, value -> UnknownField in
            guard value.count <= room, let json = try? JSONSpan.canonical(of: body, in: value) else {
                return UnknownField(path: path, json: nil)
            }
            room -= value.count
            return UnknownField(path: path, json: String(decoding: json, as: UTF8.self))
        }
    }

    private func note(_ body: [UInt8], _ members: [(name: Range<Int>, value: Range<Int>)], _ known: Set<String>, _ place: String) {
        for member in members {
            let name = String(decoding: body[member.name], as: UTF8.self)
            // An absent field, an empty one and `null` are the same.
            if known.contains(name) || body[member.value].elementsEqual("null".utf8) { continue }
            let field = "\(place).\(name.prefix(64))"
            state.withLock { state in
                guard state.counts[field] != nil || state.counts.count < Self.names else { return }
                state.counts[field, default: 0] += 1
            }
        }
    }
}
