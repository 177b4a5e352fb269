// What Kamailio does in a farm: makes a media session at an RTPEngine, of a call that there may be or not.
import assert from 'node:assert/strict';
import { Client } from 'rtpengine-client';

export async function makeSession(host: string, callId: string): Promise<void> {
  const kamailio = new Client({ timeout: 5_000, rejectOnError: true });
  kamailio.on('error', (error: Error) => assert.ifError(error));
  const sdp = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n';
  await kamailio.offer(2223, host, { 'call-id': callId, 'from-tag': 'alice', sdp, direction: ['ext', 'int'] });
  kamailio.close();
}
