// Runs in the browser: three.js and three-vrm load what we wrote and say what they see.
import * as THREE from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";
import {
  VRMAnimationLoaderPlugin,
  VRMLookAtQuaternionProxy,
  createVRMAnimationClip,
} from "@pixiv/three-vrm-animation";

async function load(url) {
  const loader = new GLTFLoader();
  loader.setMeshoptDecoder(MeshoptDecoder);
  loader.register((parser) => new VRMLoaderPlugin(parser));
  loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
  const bytes = await (await fetch(url)).arrayBuffer();
  return loader.parseAsync(bytes, "");
}

function influences(root) {
  const seen = {};
  root.traverse((object) => {
    if (!object.morphTargetDictionary) return;
    for (const [name, index] of Object.entries(object.morphTargetDictionary)) {
      seen[name] = object.morphTargetInfluences[index];
    }
  });
  return seen;
}

function turnOf(bone) {
  bone.updateWorldMatrix(true, false);
  return bone.getWorldQuaternion(new THREE.Quaternion()).toArray();
}

// Expression values, morph influences and bones of a VRM at these times of a VRMA.
window.playVrm = async (vrmUrl, vrmaUrl, times, size) => {
  const gltf = await load(vrmUrl);
  const vrm = gltf.userData.vrm;
  const scene = new THREE.Scene();
  scene.add(vrm.scene, new THREE.HemisphereLight(0xffffff, 0x888888, 3));
  const proxy = new VRMLookAtQuaternionProxy(vrm.lookAt);
  proxy.name = "lookAtQuaternionProxy";
  vrm.scene.add(proxy);
  const animation = (await load(vrmaUrl)).userData.vrmAnimations[0];
  const mixer = new THREE.AnimationMixer(vrm.scene);
  mixer.clipAction(createVRMAnimationClip(animation, vrm)).play();
  const bones = { head: vrm.humanoid.getRawBoneNode("head") };
  for (const side of ["leftEye", "rightEye"]) {
    const eye = vrm.humanoid.getRawBoneNode(side);
    if (eye) bones[side] = eye;
  }
  const frames = [];
  for (const time of times) {
    mixer.setTime(time);
    vrm.update(0);
    const expressions = {};
    for (const { expressionName } of vrm.expressionManager.expressions) {
      expressions[expressionName] = vrm.expressionManager.getValue(expressionName);
    }
    const turns = {};
    for (const [name, bone] of Object.entries(bones)) turns[name] = turnOf(bone);
    frames.push({ expressions, influences: influences(vrm.scene), turns });
  }
  const renderer = new THREE.WebGLRenderer({ antialias: true });
  renderer.setSize(size, size);
  renderer.setClearColor(0x303338);
  document.body.replaceChildren(renderer.domElement);
  const eyes = vrm.lookAt.getLookAtWorldPosition(new THREE.Vector3());
  const camera = new THREE.PerspectiveCamera(20, 1, 0.05, 10);
  camera.position.set(eyes.x, eyes.y - 0.03, eyes.z + 1.1);
  camera.lookAt(eyes.x, eyes.y - 0.03, eyes.z);
  renderer.render(scene, camera);
  return {
    version: vrm.meta.metaVersion,
    bones: Object.keys(vrm.humanoid.humanBones).filter((name) => vrm.humanoid.humanBones[name]),
    frames,
  };
};

// Morph influences and the turn of each animated node of a plain GLB at these times.
window.playGlb = async (url, times) => {
  const gltf = await load(url);
  const mixer = new THREE.AnimationMixer(gltf.scene);
  mixer.clipAction(gltf.animations[0]).play();
  return times.map((time) => {
    mixer.setTime(time);
    const turns = {};
    gltf.scene.traverse((object) => (turns[object.name] = turnOf(object)));
    return { influences: influences(gltf.scene), turns };
  });
};
