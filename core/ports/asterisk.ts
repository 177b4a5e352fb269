// The port to the Asterisk farms, in ARI's own words: operations, parameters, events and models keep ARI's names.

/** Name of our Stasis application (and of our ARI user) on every Asterisk. */
export const stasisApp = 'holdfast';

/**
 * Dialplan context of a session that is recovered, at extension `s`: into our application, and where no daemon listens at the
 * moment, as soon as one does. One that is originated into the application itself would be hung up instead.
 */
export const recoveredContext = 'recovered';

/** Channel variable: the bridge that a channel is in when its StasisStart comes, made where it is not there yet (patches/0005). */
export const bridgeVariable = 'STASIS_BRIDGE';

/**
 * Channel variable: what a created channel dials as soon as it is in our application, its endpoint without the technology. It has no StasisStart:
 * its ringing and answer are ChannelStateChange, early media a Dial with PROGRESS (patches/0012).
 */
export const dialVariable = 'STASIS_DIAL';

/** Channel variable beside it: the caller's channel, which is rung once the dialled one rings, and once only. */
export const ringVariable = 'STASIS_RING';

/** Bears the conference's id on an inner leg, which the conference node's dialplan takes for its bridge. */
export const conferenceHeader = 'X-Holdfast-Conference';

/** Bears which directions (`in`, `out`, `all`) of an inner leg's far end are muted before it enters that bridge. */
export const muteHeader = 'X-Holdfast-Mute';

/** The class of music on hold that is silence, and where a channel has its class. */
export const silenceClass = 'silence';
export const musicClassVariable = 'CHANNEL(musicclass)';

/** Channel variables of header fields, kept and sent by our Asterisk (patches/0006): of the INVITE, and of what ends a session. */
export const receivedInvite = 'PJSIP_RECEIVED_INVITE';
export const receivedEnd = 'PJSIP_RECEIVED_END';
export const sendEnd = 'PJSIP_SEND_END';

export function trunkEndpointName(trunk: string): string {
  return `trunk-${trunk}`;
}

/** ARI model Channel, as much of it as core reads (rest-api/api-docs/channels.json). */
export interface AriChannel {
  readonly id: string;
  readonly name: string;
  /** Down, Rsrved, OffHook, Dialing, Ring, Ringing, Up, Busy, Dialing Offhook, Pre-ring, Unknown */
  readonly state: string;
  readonly caller: { readonly name: string; readonly number: string };
  readonly connected: { readonly name: string; readonly number: string };
  /** `app_name`: the application that runs now; Stasis for one that is ours. */
  readonly dialplan: { readonly context: string; readonly exten: string; readonly app_name: string };
  /** ISO 8601 with milliseconds. */
  readonly creationtime: string;
  /** Of a PJSIP channel: its SIP Call-ID. */
  readonly protocol_id?: string;
  /** Set by `channelvars` in ari.conf. */
  readonly channelvars?: Readonly<Record<string, string>>;
}

/** ARI model Bridge. */
export interface AriBridge {
  readonly id: string;
  readonly technology: string;
  readonly bridge_type: string;
  readonly name: string;
  readonly channels: readonly string[];
}

interface AriEventBase {
  /** ISO 8601 with milliseconds, by the Asterisk's clock. */
  readonly timestamp: string;
  readonly asterisk_id?: string;
}

/** The events that core reads (rest-api/api-docs/events.json); the client skips all others. */
export type AriEvent = AriEventBase &
  (
    | { readonly type: 'StasisStart'; readonly args: readonly string[]; readonly channel: AriChannel }
    | { readonly type: 'StasisEnd'; readonly channel: AriChannel }
    | { readonly type: 'ChannelStateChange'; readonly channel: AriChannel }
    | { readonly type: 'ChannelHold' | 'ChannelUnhold'; readonly channel: AriChannel }
    /** Of a channel with `TALK_DETECT(set)`. */
    | { readonly type: 'ChannelTalkingStarted' | 'ChannelTalkingFinished'; readonly channel: AriChannel }
    | {
        readonly type: 'ChannelDestroyed';
        readonly channel: AriChannel;
        /** Q.850 cause */
        readonly cause: number;
        readonly cause_txt: string;
        /** Status of the technology: for PJSIP the SIP status, e.g. 486. */
        readonly tech_cause?: number;
      }
    | {
        /** A REFER of a channel's far end, as the endpoint has `PJSIP_TRANSFER_HANDLING()=ari-only`. */
        readonly type: 'ChannelTransfer';
        /** What we said of it by `transfer_progress`; not there when it comes. */
        readonly state?: string;
        /** User part of its Refer-To. */
        readonly refer_to: {
          readonly requested_destination: {
            readonly destination: string;
            /** Of a Refer-To with Replaces (RFC 3891): its Call-ID, and as `to` and `from` its tags. */
            readonly protocol_id?: string;
            readonly additional_protocol_params?: readonly {
              readonly parameter_name: string;
              readonly parameter_value: string;
            }[];
          };
        };
        readonly referred_by: { readonly source_channel: AriChannel };
      }
    | {
        readonly type: 'Dial';
        readonly peer: AriChannel;
        readonly caller?: AriChannel;
        /** '', RINGING, PROGRESS, ANSWER, BUSY, CONGESTION, NOANSWER, CANCEL, CHANUNAVAIL, … */
        readonly dialstatus: string;
      }
    | {
        readonly type: 'ChannelDtmfReceived';
        readonly channel: AriChannel;
        readonly digit: string;
        readonly duration_ms: number;
      }
    | { readonly type: 'ChannelEnteredBridge'; readonly channel: AriChannel; readonly bridge: AriBridge }
    | { readonly type: 'ChannelLeftBridge'; readonly channel: AriChannel; readonly bridge: AriBridge }
    | { readonly type: 'BridgeDestroyed'; readonly bridge: AriBridge }
    | {
        readonly type: 'ContactStatusChange';
        readonly contact_info: { readonly aor: string; readonly uri: string; readonly contact_status: string };
      }
    | { readonly type: 'PlaybackFinished'; readonly playback: { readonly id: string; readonly state: string } }
  );

export type EventOf<Type extends AriEvent['type']> = Extract<AriEvent, { type: Type }>;

/**
 * ARI operations on one Asterisk. Each has a deadline of its own and throws HoldfastError: ARI_TIMEOUT, ARI_UNREACHABLE,
 * or ARI_REFUSED with `details.status` (the HTTP status, e.g. 404 for a channel that is gone).
 */
export interface AriClient {
  readonly channels: {
    list(): Promise<readonly AriChannel[]>;
    get(params: { channelId: string }): Promise<AriChannel>;
    /** POST /channels/create: a channel in our application, not dialled but by `dialVariable`. */
    create(params: {
      endpoint: string;
      app: string;
      appArgs?: string;
      channelId: string;
      originator?: string;
      formats?: string;
      variables?: Readonly<Record<string, string>>;
    }): Promise<void>;
    /** POST /channels: dialled at once; answered, it comes into `app`, or into the dialplan at priority 1. */
    originate(params: {
      endpoint: string;
      app?: string;
      appArgs?: string;
      context?: string;
      extension?: string;
      channelId: string;
      callerId?: string;
      timeout?: number;
      originator?: string;
      formats?: string;
      variables?: Readonly<Record<string, string>>;
    }): Promise<void>;
    answer(params: { channelId: string }): Promise<void>;
    ring(params: { channelId: string }): Promise<void>;
    progress(params: { channelId: string }): Promise<void>;
    /** `reason_code` is a Q.850 cause. */
    hangup(params: { channelId: string; reason_code?: string; reason?: string }): Promise<void>;
    continueInDialplan(params: {
      channelId: string;
      context: string;
      extension: string;
      priority?: number;
    }): Promise<void>;
    getChannelVar(params: { channelId: string; variable: string }): Promise<{ value: string }>;
    setChannelVar(params: { channelId: string; variable: string; value: string }): Promise<void>;
    /** `states`: channel_progress, channel_answered, channel_unavailable (503), channel_declined (603); a NOTIFY for each. */
    transfer_progress(params: { channelId: string; states: string }): Promise<void>;
    /** `in`: what the channel says, `out`: what it hears. */
    mute(params: { channelId: string; direction: 'in' | 'out' }): Promise<void>;
    unmute(params: { channelId: string; direction: 'in' | 'out' }): Promise<void>;
    /** Tells the channel that the other side holds or is back: it hears music of its class until then. */
    hold(params: { channelId: string }): Promise<void>;
    unhold(params: { channelId: string }): Promise<void>;
    /** What the channel hears, in place of its bridge. */
    startMoh(params: { channelId: string; mohClass?: string }): Promise<void>;
    stopMoh(params: { channelId: string }): Promise<void>;
    startSilence(params: { channelId: string }): Promise<void>;
    stopSilence(params: { channelId: string }): Promise<void>;
    sendDTMF(params: { channelId: string; dtmf: string }): Promise<void>;
    /** `offsetms`: where in a sound to begin. */
    play(params: { channelId: string; media: string; playbackId?: string; offsetms?: number }): Promise<{ id: string }>;
    /** A channel of this id in `app`, on which is heard what the channel says (`in`), hears (`out`), or both. */
    snoopChannelWithId(params: {
      channelId: string;
      snoopId: string;
      spy: 'in' | 'out' | 'both';
      app: string;
      appArgs?: string;
    }): Promise<void>;
    /** What the channel says, into a file of this name in the Asterisk's spool. */
    record(params: { channelId: string; name: string; format: string; ifExists: 'fail' }): Promise<void>;
  };
  readonly playbacks: {
    get(params: { playbackId: string }): Promise<{ id: string; state: string }>;
    stop(params: { playbackId: string }): Promise<void>;
  };
  readonly bridges: {
    list(): Promise<readonly AriBridge[]>;
    /** POST /bridges/{bridgeId}: idempotent by its id. Gives the bridge as it is, with the channels of one that was there. */
    createWithId(params: { bridgeId: string; type: string; name?: string }): Promise<AriBridge>;
    /**
     * `channel`: one or more ids, with commas. `create`: type of the bridge that is made where there is none of this id, and that ends with the last who is in it. `answer`: who called us and is
     * not answered yet is answered just before (both patches/0013).
     */
    addChannel(params: { bridgeId: string; channel: string; create?: string; answer?: boolean }): Promise<void>;
    removeChannel(params: { bridgeId: string; channel: string }): Promise<void>;
    destroy(params: { bridgeId: string }): Promise<void>;
    /** What all in it say together, into a file of this name in the Asterisk's spool. */
    record(params: { bridgeId: string; name: string; format: string; ifExists: 'fail' }): Promise<void>;
    /** To all that are in it: `sound:/PATH` without the file's ending, `tone:NAME`, … */
    play(params: { bridgeId: string; media: string }): Promise<void>;
  };
  readonly asterisk: {
    getInfo(): Promise<{ status: { startup_time: string }; system: { version: string; entity_id: string } }>;
    ping(): Promise<void>;
    /** PUT /asterisk/modules/{moduleName}: has a module read its config again. */
    reloadModule(params: { moduleName: string }): Promise<void>;
    /** GET /asterisk/config/dynamic/{configClass}/{objectType}/{id}: all fields of a sorcery object. */
    getObject(params: { configClass: string; objectType: string; id: string }): Promise<ObjectFields>;
    /** PUT of the same: makes the object, or changes these fields of it. */
    updateObject(params: { configClass: string; objectType: string; id: string; fields: ObjectFields }): Promise<void>;
    deleteObject(params: { configClass: string; objectType: string; id: string }): Promise<void>;
  };
  readonly recordings: {
    stop(params: { recordingName: string }): Promise<void>;
    /** Refused with 404 once its file is closed. */
    getLive(params: { recordingName: string }): Promise<void>;
  };
  readonly endpoints: {
    listByTech(params: { tech: string }): Promise<readonly { readonly resource: string }[]>;
  };
}

/** Fields of a sorcery object (ARI model ConfigTuple). */
export type ObjectFields = readonly { readonly attribute: string; readonly value: string }[];

/** What an Asterisk held when its event stream was (re-)opened. Events follow without a gap. */
export interface AriSnapshot {
  readonly channels: readonly AriChannel[];
  readonly bridges: readonly AriBridge[];
  /** `startup_time` of /asterisk/info: another value than before means that it restarted. */
  readonly startupTime: string;
}

/** How long requests to one Asterisk took: the median, of so many. */
export interface RequestDelay {
  readonly requests: number;
  readonly medianMs: number;
}

/** One Asterisk as core sees it: its operations, its events, and whether its event stream is open. */
export interface AsteriskNode {
  readonly name: string;
  readonly ari: AriClient;
  readonly connected: boolean;
  /** Of those that were answered since it was last asked, and of those that still wait. */
  requestDelay(): RequestDelay;
  /** Starts to connect and goes on reconnecting without end until `close()`; told again of each new process. */
  open(listener: AsteriskListener): void;
  /** It was declared dead: nobody waits for what it was asked, or is asked before the next `open`; all of it fails with ARI_UNREACHABLE. */
  abandon(): Promise<void>;
  close(): Promise<void>;
}

export interface AsteriskListener {
  /** The event stream is open and the snapshot was taken after it opened. */
  connected(snapshot: AriSnapshot): void;
  /** The event stream closed, or was half-open too long. */
  disconnected(reason: string): void;
  event(event: AriEvent): void;
}

/** Makes a node's client; addresses and passwords are the adapter's. */
export interface AsteriskFarm {
  node(name: string): AsteriskNode;
}
