// `holdfast/testing`: all that a test of a plugin may import.
export { callDetailRecord, conferenceFacts, incomingCall, lostCall, outgoingLeg } from './facts.js';
export {
  given,
  TestHost,
  type DialledLeg,
  type GivenService,
  type LogLine,
  type LogMatch,
  type TestHostOptions,
} from './test-host.js';
