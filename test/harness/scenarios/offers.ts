// What phones and trunks do with media, as SIPp plays it.
import { audioSdp, type SdpOptions, type SippScenario } from '../sipp-scenario.js';

type Scene = (party: SippScenario) => SippScenario;

const video = ['m=video 9004 RTP/AVP 96', 'a=rtpmap:96 H264/90000'];
const fax = ['m=image 9006 udptl t38', 'a=T38FaxVersion:0'];
const secondAudio = ['m=audio 9002 RTP/AVP 8'];
const secureAudio = [
  'm=audio 9008 RTP/SAVP 8',
  'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz',
];

/** In a call that is up, the same whichever side SIPp is. Each ends with audio as it was before. */
export const inCall: Readonly<Record<string, Scene>> = {
  'holds by sendonly, by inactive and by 0.0.0.0, and resumes': reinvites(
    [{ direction: 'sendonly' }, 'a=recvonly'],
    [{ direction: 'inactive' }, 'a=inactive'],
    [{ address: '0.0.0.0' }, 'm=audio [1-9]'],
    [{ direction: 'sendrecv' }, 'a=sendrecv'],
  ),
  'changes the codec, and back': reinvites(
    [{ payloadTypes: [9] }, 'RTP/AVP 9 101'],
    [{ payloadTypes: [8] }, 'RTP/AVP 8 101'],
  ),
  'takes its media to another port': reinvites([{ portOffset: 2 }, 'm=audio [1-9]']),
  'adds video, a second audio stream and a fax, which get port 0': reinvites([
    { after: [...video, ...secondAudio, ...fax] },
    'm=audio [1-9].*m=video 0 .*m=audio 0 .*m=image 0 ',
  ]),
  're-INVITEs without an offer, and answers in the ACK': party =>
    party
      .send('INVITE')
      .expect(200, { body: 'm=audio [1-9][0-9]* RTP/AVP ' })
      .send('ACK', { sdp: audioSdp({ version: 2 }) }),
  'UPDATEs, without and with an offer': party =>
    party
      .send('UPDATE')
      .expect(200)
      .send('UPDATE', { sdp: audioSdp({ version: 2, direction: 'sendonly' }) })
      .expect(200, { body: 'a=recvonly' })
      .send('UPDATE', { sdp: audioSdp({ version: 3 }) })
      .expect(200, { body: 'a=sendrecv' }),
  'offers T.38, also with an audio stream of port 0, and hears 488': refused(fax, ['m=audio 0 RTP/AVP 8', ...fax]),
  'offers SRTP, AVPF or DTLS, and hears 488': refused(
    secureAudio,
    ['m=audio 9008 RTP/AVPF 8'],
    ['m=audio 9008 RTP/SAVPF 8'],
    ['m=audio 9008 UDP/TLS/RTP/SAVP 8'],
  ),
  'offers a codec that nobody speaks, and hears 488': refused(['m=audio 9008 RTP/AVP 18', 'a=rtpmap:18 G729/8000']),
};

/** First offers of several streams, in an order that must be kept, and what the answer must have. */
export const firstOffers: Readonly<Record<string, readonly [offer: string, answer: string]>> = {
  'audio, video, audio': [audioSdp({ after: [...video, ...secondAudio] }), 'm=audio [1-9].*m=video 0 .*m=audio 0 '],
  'video, audio': [audioSdp({ before: video }), 'm=video 0 .*m=audio [1-9]'],
  'audio, fax': [audioSdp({ after: fax }), 'm=audio [1-9].*m=image 0 '],
  'plain audio, SRTP': [audioSdp({ after: secureAudio }), 'm=audio [1-9][0-9]* RTP/AVP 8.*m=audio 0 '],
};

/** First offers that nothing can be made of. */
export const refusedOffers: Readonly<Record<string, string>> = {
  'T.38 only': sdp(fax),
  'video only': sdp(video),
  'SRTP only': sdp(secureAudio),
  'AVPF only': sdp(['m=audio 9008 RTP/AVPF 8']),
};

/** Each change is offered by a re-INVITE, and its answer must have this. */
function reinvites(...changes: readonly (readonly [change: SdpOptions, answer: string])[]): Scene {
  return party =>
    changes.reduce(
      (so, [change, answer], i) =>
        so
          .send('INVITE', { sdp: audioSdp({ ...change, version: i + 2 }) })
          .expect(200, { body: answer })
          .send('ACK')
          // The next request must not overtake the ACK on its way through another Kamailio.
          .pause(150),
      party,
    );
}

function refused(...offers: readonly (readonly string[])[]): Scene {
  return party =>
    offers.reduce(
      (so, media) =>
        so
          .send('INVITE', { sdp: sdp(media) })
          .expect(488)
          .send('ACK'),
      party,
    );
}

function sdp(media: readonly string[]): string {
  const head = ['v=0', 'o=sipp 1 2 IN IP4 [local_ip]', 's=-', 'c=IN IP4 [media_ip]', 't=0 0'];
  return [...head, ...media].join('\n');
}
